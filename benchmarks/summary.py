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
    packages = ("jax", "torch", "captum", "faiss-cpu", "scikit-learn")
    runs = dict.fromkeys(
        f"{one['commit']} of {one['date']}" for one in results["benchmarks"].values()
    )
    lines = [
        f"{_where(results['environment'], packages)}; commit {', '.join(runs)}.",
        "",
        "| benchmark | contestant | rate | median, s | time / jaxviz's | compile, s "
        "| largest difference |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in results["benchmarks"].items():
        for contestant, figures in one["contestants"].items():
            lines.append(_row(name, contestant, figures, one["unit"]))
    return "\n".join(lines)


def _where(about, packages):
    """The device and the versions of what was measured."""
    where = f"{about['processor']}, {about['cores']} cores"
    if about["platform"] != "cpu":
        where = f"{about['num_devices']} x {about['device']} ({where})"
    versions = [f"{name} {about[name]}" for name in packages if about.get(name)]
    return f"{where}; {', '.join(versions)}"


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
        f"{figures['largest_difference'] / (figures['largest_answer'] or 1):.0e}"
        if "largest_difference" in figures
        else "",
    ]
    return "| " + " | ".join(cells) + " |"


def profile_markdown(results, path):
    """What was measured where, the rates, and a table with a row for each layer of a path."""
    one = results["paths"][path]
    rates = [f"{name} {value:.3g}" for name, value in one["giga_per_second"].items()]
    lines = [
        f"{_where(results['environment'], ('jax', 'torch'))}; commit {one['commit']} of "
        f"{one['date']}; {one['rounds']} rounds.",
        f"Rates, 10^9 operations or bytes a second: {'; '.join(rates)}.",
        "",
        "| layer | ms | share of all | floor, ms | times the floor | torch, ms |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for layer, row in one["rows"].items():
        cells = [
            layer, f"{row['ms']:.2f}", f"{row['share']:.1%}", *(
                f"{row[key]:.2f}" if key in row else ""
                for key in ("floor_ms", "times_the_floor", "torch_ms")
            ),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


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
    results["benchmarks"] = (
        kept(output, results["environment"], "benchmarks") | results["benchmarks"]
    )
    save(results, output)
    return output


def kept(path, environment, key):
    """What a file of results has under `key`, if it was measured in this environment."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found[key] if found.get("environment") == environment else {}


def save(results, output):
    """Write a file of results, whole or not at all."""
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_suffix(".partial")
    partial.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, output)  # noqa: PTH105


def with_tables(text, folder):
    """Put between each `<!-- FILE -->`, or `<!-- FILE PATH -->`, and `<!-- end -->` its table."""

    def table(match):
        results = json.loads((folder / f"{match[2]}.json").read_text(encoding="utf-8"))
        found = profile_markdown(results, match[3]) if match[3] else markdown(results)
        return f"<!-- {match[1]} -->\n{found}\n<!-- end -->"

    marks = r"<!-- (([\w-]+)(?: ([\w-]+))?) -->\n.*?<!-- end -->"
    return re.sub(marks, table, text, flags=re.DOTALL)


# [1.23](results/file.json "key/key/key"): a figure of a page, with as many digits as it has there.
FIGURE = re.compile(r'\[(-?[\d.,]+)\]\(([^)\s]+\.json) "([^"]+)"\)')


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
    pages = (here / name for name in ("README.md", "PERFORMANCE.md", "PROFILE.md"))
    for page in (*pages, here.parent / "README.md"):
        text = with_tables(page.read_text(encoding="utf-8"), here / "results")
        page.write_text(with_figures(text, page.parent), encoding="utf-8")


if __name__ == "__main__":
    main()
