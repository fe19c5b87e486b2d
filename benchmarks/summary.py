"""Boil a pytest-benchmark file down: results/<device>.json, and a Markdown table on the terminal.

    python benchmarks/summary.py [results/latest.json]

Raw rounds, host names and the like are left out; medians, spread and what was measured remain.
"""

import argparse
import json
import re
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"
STATS = ("median", "min", "max", "iqr", "rounds")
SHARED = (
    "date", "commit", "jaxviz", "jax", "jaxlib", "python", "platform", "device_kind",
    "num_devices", "compiler_options",
)  # fmt: skip


def summary(raw):
    """Everything worth keeping: the environment once, then each benchmark."""
    infos = [one["extra_info"] for one in raw["benchmarks"]]
    environment = {key: infos[0][key] for key in SHARED if infos and key in infos[0]}
    cpu = raw["machine_info"].get("cpu", {})
    environment |= {"cpu": cpu.get("brand_raw", "unknown"), "cpu_count": cpu.get("count")}
    found = {}
    for one in raw["benchmarks"]:
        extra = {key: value for key, value in one["extra_info"].items() if key not in SHARED}
        stats = {f"{key}_seconds": rounded(one["stats"][key]) for key in STATS if key != "rounds"}
        stats["rounds"] = one["stats"]["rounds"]
        found[one["name"]] = stats | {key: rounded(value) for key, value in extra.items()}
    return {"environment": environment, "benchmarks": found}


def rounded(value):
    """Four digits that matter are more than any run repeats."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def table(results):
    """A Markdown table, one row a benchmark."""
    lines = [
        "| benchmark | rate | median, s | spread (IQR), s | compile, s |",
        "|---|---|---|---|---|",
    ]
    for name, one in results["benchmarks"].items():
        rates = [f"{one[key]:.4g} {key[:-11]}/s" for key in one if key.endswith("_per_second")]
        compiling = f"{one['compile_seconds']:.2f}" if "compile_seconds" in one else ""
        title = name.removeprefix("bench_")
        cells = [title, ", ".join(rates), f"{one['median_seconds']:.3g}"]
        lines.append("| " + " | ".join([*cells, f"{one['iqr_seconds']:.2g}", compiling]) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, default=RESULTS / "latest.json")
    results = summary(json.loads(parser.parse_args().file.read_text(encoding="utf-8")))
    if not results["benchmarks"]:
        raise SystemExit("summary: the file holds no benchmarks")
    environment = results["environment"]
    kind = environment["device_kind"]
    device = f"cpu-{environment['cpu']}" if kind == "cpu" else kind
    plain = re.sub(r"\((r|tm)\)| processor", "", device.lower())
    name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    output = RESULTS / f"{name}.json"
    output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print("\n".join(f"{key}: {value}" for key, value in environment.items()))
    print(f"\n{table(results)}\n\n{output}")


if __name__ == "__main__":
    main()
