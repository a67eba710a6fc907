"""Benchmark of this project side by side with its alternatives, in one run.

    python tools/benchmark.py --quick --torch_python PYTHON --output docs/benchmarks/cpu
    python tools/benchmark.py --only l_var metrics --output docs/benchmarks/cpu_more

PYTHON is an interpreter with torch and numpy; without it only this project's rows are measured.
Each row has its own process, or is one of several calls of a process, warmed up, and is idle while
another is timed. The rows of a group are timed in turn, each round in the opposite direction, and
every call waits for its result. A ratio compares two rows of one group. Writes OUTPUT.json,
OUTPUT.md and OUTPUT.png.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmark_rows.groups import GROUPS, ON_REQUEST, PEERS, QUICK, START_UP, USES_NETWORKS, Row
from benchmark_rows.process import Process
from benchmark_rows.report import draw, markdown
from benchmark_rows.serve import Settings
from benchmark_rows.start_up import arithmetic, installed_size, measure_start_up
from benchmark_rows.summary import add_arithmetic, compare, summarise
from collect_results import checkout_commit, machine

# Cores that other processes may keep busy during a call. PyTorch's OpenMP threads wait for each
# other by spinning: if something else uses one of the cores, a call takes up to ten times as long,
# in CPU seconds too, while XLA's threads suffer less. A ratio is then meaningless.
MAX_OTHERS = 0.1


def measure(
    rows: Sequence[Row],
    settings: Settings,
    rounds: int,
    pythons: dict[str, str | None],
    max_others: float,
    gflop_an_image: dict[str, float],
) -> dict[str, Any]:
    """Times the calls of a group's processes in turn.

    Args:
        rows: the processes; those without an interpreter are left out.
        settings: of each; row and batch are set here.
        rounds: how often each call is timed.
        pythons: interpreter by script; this one for scripts that are not named.
        max_others: as in `compare`.
        gflop_an_image: by kind of call.

    Returns:
        The group from `compare`, with "facts" and "versions" of its processes.
    """
    processes = [
        Process(python, row.script, replace(settings, row=row.row, batch=row.batch))
        for row in rows
        if (python := pythons.get(row.script, sys.executable))
    ]
    peak = None
    if any(row.script in USES_NETWORKS for row in rows):
        peak = Process(sys.executable, "peak", replace(settings, row="product", batch=0))
    peaks = [peak_gflop_per_second(peak)] if peak else []
    calls = [(process, name) for process in processes for name in process.about]
    times: dict[str, list[dict[str, float]]] = {name: [] for _, name in calls}
    for index in range(rounds):
        for process, name in calls if index % 2 == 0 else calls[::-1]:
            times[name].append(process.time_once(name))
        if peak:
            peaks.append(peak_gflop_per_second(peak))
    for process in [*processes, *([peak] if peak else [])]:
        process.close()

    pairs = [pair for process in processes for pair in process.pairs]
    if len(processes) > 1:
        pairs += [(name, calls[-1][1]) for _, name in calls[:-1]]
    summaries = {
        name: summarise(
            times[name], {"ready_seconds": process.ready_seconds, **process.about[name]}
        )
        for process, name in calls
    }
    result = compare(summaries, pairs, max_others)
    if peaks:
        add_arithmetic(result, gflop_an_image, peaks)
    facts = {key: value for process in processes for key, value in process.facts.items()}
    return {**result, "versions": facts.pop("versions", {}), "facts": facts}


def peak_gflop_per_second(peak: Process) -> float:
    """Measures the speed of a large matrix product."""
    return peak.about["product"]["gflop"] / peak.time_once("product")["seconds"]


def chosen_groups(args: argparse.Namespace) -> list[str]:
    """Returns the groups to measure, in order."""
    if args.only:
        return list(args.only)
    apart = {*ON_REQUEST, *(name for names in PEERS.values() for name in names)}
    names = QUICK if args.quick else [name for name in GROUPS if name not in apart]
    added = [name for peer in args.peers for name in PEERS[peer]]
    return [*names, *added, *([] if args.quick else [START_UP])]


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds")
    parser.add_argument("--arch", default="wide_resnet50_2")
    parser.add_argument("--only", nargs="+", choices=(*GROUPS, START_UP), help="these groups")
    parser.add_argument("--rounds", type=int, help="timed calls per row")
    parser.add_argument("--torch_python", help="an interpreter with torch")
    parser.add_argument("--peers", nargs="+", choices=tuple(PEERS), default=[], help="their groups")
    parser.add_argument("--anomalib_python", help="an interpreter with anomalib")
    parser.add_argument("--data", type=Path, help="a folder of images, for `metrics` and `decode`")
    parser.add_argument("--image_size", type=int, default=256)
    parser.add_argument("--stem_width", type=int, default=64, help="64 is torchvision's")
    parser.add_argument("--min_seconds", type=float, default=0.5, help="of a timed call")
    parser.add_argument(
        "--max_others_cores",
        type=float,
        default=MAX_OTHERS,
        help=f"cores that others may use during a call for a ratio; {MAX_OTHERS:g}",
    )
    parser.add_argument("--time_limit", type=float, help="seconds after which no group is started")
    parser.add_argument("--output", type=Path, required=True, help="path without suffix")
    args = parser.parse_args()
    if args.data and not args.data.is_dir():
        parser.error(f"--data {args.data} is not a folder; give one with images, or omit it.")
    if args.image_size < 32 or args.image_size % 32:
        parser.error(f"--image_size must be a multiple of 32, not {args.image_size}.")
    if args.stem_width < 1 or (args.rounds is not None and args.rounds < 1):
        parser.error("--stem_width and --rounds must be at least 1.")
    needs = set(args.only or ()) & {name for names in PEERS.values() for name in names}
    if (args.peers or needs) and not args.anomalib_python:
        parser.error("give --anomalib_python, an interpreter with anomalib, for its rows.")
    return args


def main() -> None:
    args = read_arguments()
    start = time.perf_counter()
    rounds = args.rounds or (3 if args.quick else 7)
    data = str(args.data.resolve()) if args.data else None
    settings = Settings(
        row="",
        arch=args.arch,
        batch=8,
        image_size=args.image_size,
        stem_width=args.stem_width,
        data=data,
        min_seconds=args.min_seconds,
    )
    pythons = {"torch": args.torch_python, "anomalib": args.anomalib_python}
    gflop_an_image = arithmetic(settings)
    report = {
        "commit": checkout_commit(),
        "machine": machine(),
        "devices": [],
        "versions": {name: version(name) for name in ("jax", "jaxlib", "numpy", "pillow")},
        "arch": args.arch,
        "image_size": args.image_size,
        "stem_width": args.stem_width,
        "precision": "float32",
        "rounds": rounds,
        "max_others_cores": args.max_others_cores,
        "gflop_an_image": gflop_an_image,
        "installed": {},
        "left_out": [],
        "groups": {},
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    for name in chosen_groups(args):
        if args.time_limit is not None and time.perf_counter() - start > args.time_limit:
            report["left_out"].append(name)
        elif name == START_UP:
            report["groups"][name] = measure_start_up(
                settings, rounds, args.anomalib_python, args.max_others_cores
            )
            report["installed"]["rdvar-jax"] = installed_size(sys.executable, "rdvar-jax[train]")
            if args.anomalib_python:
                report["installed"]["anomalib"] = installed_size(args.anomalib_python, "anomalib")
        else:
            result = measure(
                GROUPS[name], settings, rounds, pythons, args.max_others_cores, gflop_an_image
            )
            report["versions"].update(result.pop("versions"))
            device = result["facts"].pop("device", None)
            if device and device not in report["devices"]:
                report["devices"].append(device)
            report["groups"][name] = result
        # After each group, so that its measurements survive if the next one is stopped.
        args.output.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
        args.output.with_suffix(".md").write_text(markdown(report))
    if report["groups"]:
        draw(report, args.output.with_suffix(".png"))
    print(markdown(report))


if __name__ == "__main__":
    main()
