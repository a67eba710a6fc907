"""This project and the PyTorch reference, side by side in one run.

    python tools/benchmark.py --quick --torch_python PYTHON --output docs/benchmarks/cpu

PYTHON is an interpreter with torch, numpy; without it only this project's rows are measured. Every
row has a process of its own, warmed up, that stands still while another is timed. The rows of a
group are timed in turn, each round in the other direction, and every call waits for its result.
Ratios are of medians. Writes OUTPUT.json, OUTPUT.md and OUTPUT.png.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent

# (side, row, batch); the rows of a group are resident at once.
TRAIN = [
    [("jax", "train", 8), ("torch", "train+tuned", 8)],
    [("jax", "train+cache", 8), ("torch", "train+published", 8)],
]
SCORE = [
    [("jax", "score", 1), ("torch", "score", 1)],
    [("jax", "score", 8), ("torch", "score", 8)],
]
MORE = [
    [("jax", "train+shard_map", 8), ("jax", "train", 8)],
    [("jax", "score", 32), ("torch", "score", 32)],
]


class Row:
    """One process: `time_once` makes it run its call once."""

    def __init__(self, side: str, row: str, batch: int, arch: str, python: str):
        self.name = f"{side} {row} {batch}"
        self.side = side
        self.calls: list[dict[str, float]] = []
        script = HERE / "benchmark_rows" / f"{side}_row.py"
        self._process = subprocess.Popen(
            [python, str(script), row, arch, str(batch)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ready_seconds = self._read()["ready_seconds"]

    def time_once(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        self.calls.append(self._read())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _read(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the process of {self.name} ended; see above")
        return json.loads(line)

    def summary(self) -> dict[str, object]:
        seconds = [call["seconds"] for call in self.calls]
        return {
            "seconds_median": statistics.median(seconds),
            "seconds_min": min(seconds),
            "seconds_max": max(seconds),
            "cpu_seconds_median": statistics.median(c["cpu_seconds"] for c in self.calls),
            "cpu_seconds_min": min(c["cpu_seconds"] for c in self.calls),
            "peak_gb": max(call["peak_gb"] for call in self.calls),
            "ready_seconds": self.ready_seconds,
            "calls": self.calls,
        }


def measure(groups, arch: str, rounds: int, torch_python: str | None) -> dict[str, dict]:
    """Times all rows of all groups; name -> summary."""
    results = {}
    for group in groups:
        pythons = {"jax": sys.executable, "torch": torch_python}
        rows = [Row(*spec, arch, python) for spec in group if (python := pythons[spec[0]])]
        for index in range(rounds):
            for row in rows if index % 2 == 0 else rows[::-1]:
                row.time_once()
        for row in rows:
            row.close()
            results[row.name] = row.summary()
    return results


def ratios(rows: dict[str, dict]) -> dict[str, dict[str, float]]:
    """This project's time over PyTorch's, where both were measured."""
    pairs = [
        ("jax train 8", "torch train+tuned 8"),
        ("jax train+cache 8", "torch train+tuned 8"),
        ("jax train 8", "torch train+published 8"),
        *((f"jax score {batch}", f"torch score {batch}") for batch in (1, 8, 32)),
    ]
    return {
        f"{ours} / {theirs}": {
            key: rows[ours][key] / rows[theirs][key]
            for key in ("seconds_median", "seconds_min", "cpu_seconds_median", "cpu_seconds_min")
        }
        for ours, theirs in pairs
        if ours in rows and theirs in rows
    }


def start_up_seconds(python: str) -> float:
    """The smallest of five times of `rdvar --help`."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        command = [python, "-m", "rdvar_jax.main", "--help"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return min(times)


def markdown(report: dict) -> str:
    """The report as two tables."""
    lines = ["| Row | median s | min s | max s | CPU s | peak GB |", "|---|---|---|---|---|---|"]
    for name, row in report["rows"].items():
        keys = ("seconds_median", "seconds_min", "seconds_max", "cpu_seconds_min", "peak_gb")
        lines.append(f"| {name} | " + " | ".join(f"{row[key]:.2f}" for key in keys) + " |")
    lines += ["", "| Ratio | of medians | of minima | CPU time, minima |", "|---|---|---|---|"]
    for name, ratio in report["ratios"].items():
        keys = ("seconds_median", "seconds_min", "cpu_seconds_min")
        lines.append(f"| {name} | " + " | ".join(f"{ratio[key]:.2f}" for key in keys) + " |")
    return "\n".join(lines) + "\n"


def draw(report: dict, path: Path) -> None:
    """Horizontal bars of the medians, with the spread as a line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names, rows = list(report["rows"]), list(report["rows"].values())
    figure, axes = pyplot.subplots(figsize=(8, 0.4 * len(names) + 1), layout="constrained")
    middle = [row["seconds_median"] for row in rows]
    spread = [
        [row["seconds_median"] - row["seconds_min"] for row in rows],
        [row["seconds_max"] - row["seconds_median"] for row in rows],
    ]
    colours = ["tab:blue" if name.startswith("jax") else "tab:orange" for name in names]
    axes.barh(names, middle, xerr=spread, color=colours)
    axes.invert_yaxis()
    axes.set_xlabel("seconds a call; bar: median, line: smallest to largest")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds")
    parser.add_argument("--arch", default="wide_resnet50_2")
    parser.add_argument("--only", choices=("train", "score"), help="one kind of row")
    parser.add_argument("--rounds", type=int, help="timed calls a row")
    parser.add_argument("--torch_python", help="an interpreter with torch")
    parser.add_argument("--output", type=Path, required=True, help="path without suffix")
    args = parser.parse_args()
    groups = {"train": TRAIN, "score": SCORE, None: TRAIN + SCORE}[args.only]
    groups = groups if args.quick or args.only else groups + MORE
    rounds = args.rounds or (3 if args.quick else 7)
    rows = measure(groups, args.arch, rounds, args.torch_python)
    report = {
        "arch": args.arch,
        "image_size": 256,
        "precision": "float32",
        "rounds": rounds,
        "machine": {"processor": platform.machine(), "cores": len(os.sched_getaffinity(0))},
        "help_seconds": start_up_seconds(sys.executable),
        "rows": rows,
        "ratios": ratios(rows),
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    args.output.with_suffix(".md").write_text(markdown(report))
    draw(report, args.output.with_suffix(".png"))
    print(markdown(report))


if __name__ == "__main__":
    main()
