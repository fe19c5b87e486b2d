"""How long the explorer takes, as its user sees it: measured in the page, by Chromium.

    python benchmarks/explorer.py --results benchmarks/results

It needs the extras explore and test, and Debian's Chromium. Times are medians of several pictures,
once everything is compiled. What is on screen is read from the page every 5 ms.
"""

import argparse
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from conftest import environment, git_commit
from playwright.sync_api import sync_playwright
from summary import device_name, rounded, save

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

    def median(hash_of, condition_of, settled=None):
        taken = []
        for one in pictures:
            taken.append(page.evaluate(TIMED, [hash_of(one), condition_of(one)]))
            if settled:  # so that the next is asked for when nothing else is computed
                page.evaluate(TIMED, [hash_of(one), settled(one)])
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

        def address(one, target=target):
            return f"picture={one}&view=hidden&target={target}"

        def first(one, target=target):
            return HIDDEN.format(one, target, "stride")

        def whole(one, target=target):
            return HIDDEN.format(one, target, "finest === 'true'")

        page.evaluate(TIMED, [address(pictures[0]), whole(pictures[0])])
        time.sleep(COMPILED)
        found[f"{what}, first map, s"] = median(address, first, settled=whole)
        found[f"{what}, whole, s"] = median(address, whole)
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
        found[f"camera with {name}, pictures per second"] = float(page.evaluate(rate))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results", type=Path, help="the folder that keeps explorer-DEVICE.json")
    given = parser.parse_args()
    began = time.perf_counter()
    command = [sys.executable, "-m", "jaxviz", "explore", "--no-browser", "--port", "0"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
        contextlib.ExitStack() as ends,
        sync_playwright() as playwright,
    ):
        ends.callback(server.terminate)
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
    for name, value in found.items():
        print(f"{name}: {value:.3g}")
    if given.results:
        about = environment()
        record = {"environment": about, "commit": git_commit(), "measured": found}
        save(rounded(record), given.results / f"explorer-{device_name(about)}.json")


if __name__ == "__main__":
    main()
