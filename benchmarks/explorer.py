"""How long the explorer takes, as its user sees it: measured in the page, by Chromium.

    python benchmarks/explorer.py

It needs the extras explore and playwright, and Debian's Chromium. Times are medians of several
pictures, once everything is compiled. What is on screen is read from the page every 5 ms.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

ROUNDS = 9  # pictures
COMPILED = 60  # seconds in which what was asked for first is compiled behind the scenes
FLAGS = ["--no-sandbox", "--disable-gpu", "--use-fake-device-for-media-stream",
         "--use-fake-ui-for-media-stream"]  # fmt: skip
# Milliseconds from a change of the address until a condition holds.
TIMED = """([hash, condition]) => new Promise((done) => {
  const holds = new Function("return " + condition);
  const began = performance.now();
  location.hash = hash;
  const look = setInterval(() => {
    if (holds()) { clearInterval(look); done(performance.now() - began); }
  }, 5);
})"""
WALL = (
    "document.querySelector('canvas.wall')?.dataset.picture === '{0}' && "
    "document.querySelector('canvas.wall').dataset.layer === '{1}' && "
    "document.querySelector('#classes').dataset.picture === '{0}'"
)
PATCHES = "document.querySelector('.rows[data-channel=\"{0}\"] canvas')"
HIDDEN = (
    "document.querySelector('canvas.large')?.dataset.asked === '{0} {1}' && "
    "document.querySelector('canvas.large').dataset.{2}"
)


def measured(page, network):
    """{what: seconds, or pictures a second}."""
    pictures = [one["id"] for one in network["pictures"]][: ROUNDS + 2]

    def median(hash_of, condition_of):
        taken = [page.evaluate(TIMED, [hash_of(one), condition_of(one)]) for one in pictures]
        return statistics.median(taken[2:]) / 1000

    found = {}
    layer = network["deep"]
    found[f"classes and wall of {layer}, s"] = median(
        lambda one: f"picture={one}&layer={layer}", lambda one: WALL.format(one, layer)
    )
    before = network["layers"][[one["name"] for one in network["layers"]].index(layer) - 1]["name"]
    # The maps of the first are compiled, those of the second are not.
    for channel, name in enumerate((layer, before), start=24):
        asked = f"picture={pictures[0]}&view=channel&layer={name}&channel={channel}"
        taken = page.evaluate(TIMED, [asked, PATCHES.format(channel)])
        found[f"top patches of {name} the first time, s"] = taken / 1000
    for target in ("", f"{layer}:124"):
        what = f"occlusion of {target or 'the best class'}"
        page.evaluate(
            TIMED,
            [
                f"picture={pictures[0]}&view=hidden&target={target}",
                HIDDEN.format(pictures[0], target, "finest === 'true'"),
            ],
        )
        time.sleep(COMPILED)
        for name, condition in (("first map", "stride"), ("whole", "finest === 'true'")):
            found[f"{what}, {name}, s"] = median(
                lambda one, target=target: f"picture={one}&view=hidden&target={target}",
                lambda one, target=target, condition=condition: HIDDEN.format(
                    one, target, condition
                ),
            )
            page.wait_for_selector("canvas.large[data-finest=true]")
    for name in ("conv1", layer):
        page.evaluate(
            TIMED,
            [
                f"layer={name}&camera=on",
                "document.querySelector('canvas.wall').dataset.picture === 'camera'",
            ],
        )
        time.sleep(4)
        rate = "Number(document.querySelector('#video').dataset.rate)"
        found[f"camera with {name}, pictures/s"] = float(page.evaluate(rate))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, help="a JSON file for the figures")
    given = parser.parse_args()
    began = time.perf_counter()
    command = [sys.executable, "-m", "jaxviz", "explore", "--no-browser", "--port", "0"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
        sync_playwright() as playwright,
    ):
        address = server.stdout.readline().split()[-1]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(permissions=["camera"])
        page.set_default_timeout(300_000)
        page.goto(address)
        page.wait_for_selector("canvas.wall[data-layer]")
        found = {"page with its wall after the start, s": time.perf_counter() - began}
        time.sleep(COMPILED)
        answer = page.evaluate(
            "fetch('views/network').then((one) => one.arrayBuffer())"
            ".then((bytes) => new TextDecoder().decode(bytes))"
        )
        network = json.JSONDecoder().raw_decode(answer[answer.index("{") :])[0]
        found |= measured(page, network)
        browser.close()
        server.terminate()
    for name, value in found.items():
        print(f"{name}: {value:.3g}")
    if given.output:
        given.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
