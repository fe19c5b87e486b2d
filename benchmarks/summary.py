"""Results as JSON and as a Markdown table; losses stand beside wins.

python benchmarks/summary.py benchmarks/results/cpu-intel-xeon.json     # prints the table
"""

import json
import os
import re
from pathlib import Path


def rounded(value):
    """Four digits that matter are more than any run repeats."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def markdown(results):
    """What was measured where, and a table with a row for each contestant."""
    about = results["environment"]
    versions = [
        f"{key} {about[key]}" for key in ("jax", "torch", "captum", "faiss-cpu", "scikit-learn")
        if about.get(key)
    ]  # fmt: skip
    where = f"{about['processor']}, {about['cores']} cores"
    if about["platform"] != "cpu":
        where = f"{about['num_devices']} x {about['device']} ({where})"
    runs = dict.fromkeys(
        f"{one['commit']} of {one['date']}" for one in results["benchmarks"].values()
    )
    lines = [
        f"{where}; {', '.join(versions)}; commit {', '.join(runs)}.",
        "",
        "| benchmark | contestant | rate | median, s | jaxviz is faster by | compile, s "
        "| largest difference |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in results["benchmarks"].items():
        for contestant, figures in one["contestants"].items():
            lines.append(_row(name, contestant, figures, one["unit"]))
    return "\n".join(lines)


def _row(benchmark, contestant, figures, unit):
    ratio = ""
    if "ratio_median" in figures:
        low, middle, high = (figures[f"ratio_{which}"] for which in ("least", "median", "most"))
        ratio = f"{middle:.2f} ({low:.2f} to {high:.2f})"
    cells = [
        benchmark,
        contestant,
        f"{figures['per_second']:.3g} {unit}/s",
        f"{figures['seconds_median']:.3g}",
        ratio,
        f"{figures['compile_seconds']:.2f}" if figures["compile_seconds"] else "",
        f"{figures['largest_difference']:.0e}" if "largest_difference" in figures else "",
    ]
    return "| " + " | ".join(cells) + " |"


def device_name(environment):
    """A file name for a device, such as cpu-intel-xeon."""
    on_cpu = environment["platform"] == "cpu"
    kind = f"cpu-{environment['processor']}" if on_cpu else environment["device"]
    plain = re.sub(r"\((r|tm)\)| processor", "", kind.lower())
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def write(results, folder):
    """Write DEVICE.json into `folder`, whole or not at all.

    Benchmarks that did not run this time keep their figures, if nothing else has changed.
    """
    results = rounded(results)
    output = folder / f"{device_name(results['environment'])}.json"
    if output.exists():
        before = json.loads(output.read_text(encoding="utf-8"))
        if before["environment"] == results["environment"]:
            results["benchmarks"] = before["benchmarks"] | results["benchmarks"]
    folder.mkdir(parents=True, exist_ok=True)
    partial = output.with_suffix(".partial")
    partial.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, output)  # noqa: PTH105
    return output


def with_tables(text, folder):
    """Put between each `<!-- DEVICE -->` and `<!-- end -->` the device's table."""

    def table(match):
        results = json.loads((folder / f"{match[1]}.json").read_text(encoding="utf-8"))
        return f"<!-- {match[1]} -->\n{markdown(results)}\n<!-- end -->"

    return re.sub(r"<!-- ([\w-]+) -->\n.*?<!-- end -->", table, text, flags=re.DOTALL)


# [1.23](results/file.json "key/key/key"): a figure of a page, with as many digits as it has there.
FIGURE = re.compile(r'\[([\d.,]+)\]\(([^)\s]+\.json) "([^"]+)"\)')


def with_figures(text, folder):
    """Write each figure of a page in `folder` as the results have it now."""

    def figure(match):
        said, file, keys = match.groups()
        value = json.loads((folder / file).read_text(encoding="utf-8"))
        for key in keys.split("/"):
            value = value[key]
        return f'[{value:,.{len(said.partition(".")[2])}f}]({file} "{keys}")'

    return FIGURE.sub(figure, text)


def main():
    here = Path(__file__).resolve().parent
    for page in (here / "README.md", here / "PERFORMANCE.md", here.parent / "README.md"):
        text = with_tables(page.read_text(encoding="utf-8"), here / "results")
        page.write_text(with_figures(text, page.parent), encoding="utf-8")


if __name__ == "__main__":
    main()
