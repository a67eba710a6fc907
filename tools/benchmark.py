"""This project and the PyTorch reference, side by side in one run.

    python tools/benchmark.py --quick --torch_python PYTHON --output docs/benchmarks/cpu

PYTHON is an interpreter with torch, numpy; without it only this project's rows are measured. Every
row has a process of its own, warmed up, that stands still while another is timed. The two rows of a
group are timed in turn, each round in the other direction, and every call waits for its result. A
ratio is of two rows of one group. Writes OUTPUT.json, OUTPUT.md and OUTPUT.png.
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
from typing import Any

HERE = Path(__file__).resolve().parent

# name: the two rows that are compared, (side, row, batch); both are resident while one is timed.
GROUPS = {
    "step": (("jax", "train", 8), ("torch", "train+tuned", 8)),
    "cached_step": (("jax", "train+cache", 8), ("torch", "train+tuned", 8)),
    "published_step": (("jax", "train", 8), ("torch", "train+published", 8)),
    "score_1": (("jax", "score", 1), ("torch", "score", 1)),
    "score_8": (("jax", "score", 8), ("torch", "score", 8)),
    "score_32": (("jax", "score", 32), ("torch", "score", 32)),
    "modes": (("jax", "train+shard_map", 8), ("jax", "train", 8)),
}
QUICK = ("step", "cached_step", "published_step", "score_1", "score_8")


# Cores that other processes may keep busy during a call. PyTorch's OpenMP threads wait for each
# other by spinning: where something else has one of the cores, a call takes up to ten times as
# long, in CPU seconds too, while XLA's threads suffer less. A ratio is then worth nothing.
MAX_OTHERS = 0.1


def busy_seconds() -> float:
    """CPU seconds that all processes of this Linux machine have taken so far."""
    user, nice, system, _, _, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


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
        before, start = busy_seconds(), time.perf_counter()
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        call = self._read()
        others = busy_seconds() - before - call["cpu_seconds"]
        call["others_cores"] = max(others, 0.0) / (time.perf_counter() - start)
        self.calls.append(call)

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

    def summary(self) -> dict[str, Any]:
        seconds = [call["seconds"] for call in self.calls]
        return {
            "seconds_median": statistics.median(seconds),
            "seconds_min": min(seconds),
            "seconds_max": max(seconds),
            "cpu_seconds_median": statistics.median(c["cpu_seconds"] for c in self.calls),
            "cpu_seconds_min": min(c["cpu_seconds"] for c in self.calls),
            "peak_gb": max(call["peak_gb"] for call in self.calls),
            "others_cores": max(call["others_cores"] for call in self.calls),
            "ready_seconds": self.ready_seconds,
            "calls": self.calls,
        }


def measure(group, arch: str, rounds: int, torch_python: str | None) -> dict:
    """Times the rows of a group in turn; {"rows": name -> summary, "ratios": first over second}.

    There are no ratios where PyTorch is missing or other processes disturbed a call.
    """
    pythons = {"jax": sys.executable, "torch": torch_python}
    rows = [
        Row(side, row, batch, arch, python)
        for side, row, batch in group
        if (python := pythons[side])
    ]
    for index in range(rounds):
        for row in rows if index % 2 == 0 else rows[::-1]:
            row.time_once()
    for row in rows:
        row.close()
    summaries = {row.name: row.summary() for row in rows}
    disturbed = any(row["others_cores"] > MAX_OTHERS for row in summaries.values())
    if len(rows) < 2 or disturbed:
        return {"rows": summaries, "ratios": None}
    ours, theirs = summaries.values()
    keys = ("seconds_median", "seconds_min", "cpu_seconds_min")
    return {"rows": summaries, "ratios": {key: ours[key] / theirs[key] for key in keys}}


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
    lines = [
        "| Group | Row | median s | min s | max s | CPU s, min | peak GB | others |",
        "|---" * 8 + "|",
    ]
    for group, result in report["groups"].items():
        for name, row in result["rows"].items():
            keys = ("seconds_median", "seconds_min", "seconds_max", "cpu_seconds_min", "peak_gb")
            keys += ("others_cores",)
            values = " | ".join(f"{row[key]:.2f}" for key in keys)
            lines.append(f"| {group} | {name} | {values} |")
    lines += ["", "| First row over second | medians | minima | CPU, minima |", "|---" * 4 + "|"]
    for group, result in report["groups"].items():
        if result["ratios"]:
            values = " | ".join(f"{value:.2f}" for value in result["ratios"].values())
            lines.append(f"| {group} | {values} |")
        else:
            lines.append(f"| {group} | none: disturbed by other processes, or one row only | | |")
    return "\n".join(lines) + "\n"


def draw(report: dict, path: Path) -> None:
    """Horizontal bars of the medians, with the spread as a line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names, rows = [], []
    for group, result in report["groups"].items():
        names += [f"{group}: {name}" for name in result["rows"]]
        rows += result["rows"].values()
    figure, axes = pyplot.subplots(figsize=(8, 0.4 * len(names) + 1), layout="constrained")
    middle = [row["seconds_median"] for row in rows]
    spread = [
        [row["seconds_median"] - row["seconds_min"] for row in rows],
        [row["seconds_max"] - row["seconds_median"] for row in rows],
    ]
    colours = ["tab:blue" if ": jax" in name else "tab:orange" for name in names]
    axes.barh(names, middle, xerr=spread, color=colours)
    axes.invert_yaxis()
    axes.set_xlabel("seconds a call; bar: median, line: smallest to largest")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds")
    parser.add_argument("--arch", default="wide_resnet50_2")
    parser.add_argument("--only", nargs="+", choices=tuple(GROUPS), help="these groups")
    parser.add_argument("--rounds", type=int, help="timed calls a row")
    parser.add_argument("--torch_python", help="an interpreter with torch")
    parser.add_argument("--output", type=Path, required=True, help="path without suffix")
    args = parser.parse_args()
    names = args.only or (QUICK if args.quick else tuple(GROUPS))
    rounds = args.rounds or (3 if args.quick else 7)
    report = {
        "arch": args.arch,
        "image_size": 256,
        "precision": "float32",
        "rounds": rounds,
        "machine": {"processor": platform.machine(), "cores": len(os.sched_getaffinity(0))},
        "help_seconds": start_up_seconds(sys.executable),
        "groups": {},
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        report["groups"][name] = measure(GROUPS[name], args.arch, rounds, args.torch_python)
        # After each group: what was measured is kept if the next one is stopped.
        args.output.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
        args.output.with_suffix(".md").write_text(markdown(report))
    draw(report, args.output.with_suffix(".png"))
    print(markdown(report))


if __name__ == "__main__":
    main()
