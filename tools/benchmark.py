"""Benchmark of this project side by side with its alternatives, in one run.

    python tools/benchmark.py --quick --torch_python PYTHON --output docs/benchmarks/cpu
    python tools/benchmark.py --only step cached_step score_1 score_8 --torch_python PYTHON \
        --arches resnet18 wide_resnet50_2 --image_sizes 64 96 128 256 --output docs/benchmarks/sizes
    python tools/benchmark.py --only predict_one predict_folder detector_list first_step \
        --arches resnet18 --image_sizes 128 --output docs/benchmarks/whole_commands

PYTHON is an interpreter with torch and numpy; without it only this project's rows are measured.
Each row has its own process, or is one of several calls of a process, warmed up, and is idle while
another is timed. The rows of a group are timed in turn, each round in the opposite direction, and
every call waits for its result. A ratio compares two rows of one group. Each pair of backbone and
image size is a cell of its own in the report. Writes OUTPUT.json and OUTPUT.md after each group,
and OUTPUT.png at the end.
"""

import argparse
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmark_rows.groups import GROUPS, ON_REQUEST, PEERS, QUICK, START_UP
from benchmark_rows.measure import measure
from benchmark_rows.report import draw, markdown
from benchmark_rows.serve import Settings
from benchmark_rows.start_up import arithmetic, installed_size, measure_start_up
from benchmark_rows.whole import WHOLE, WholeCommands
from collect_results import checkout_commit, machine

from rdvar_jax.models.precision import PRECISIONS

# Cores that other processes may keep busy during a call. PyTorch's OpenMP threads wait for each
# other by spinning: if something else uses one of the cores, a call takes up to ten times as long,
# in CPU seconds too, while XLA's threads suffer less. A ratio is then meaningless.
MAX_OTHERS = 0.1


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
    parser.add_argument("--arches", nargs="+", default=["wide_resnet50_2"], help="backbones")
    parser.add_argument("--image_sizes", nargs="+", type=int, default=[256], help="in pixels")
    parser.add_argument(
        "--only", nargs="+", choices=(*GROUPS, *WHOLE, START_UP), help="these groups"
    )
    parser.add_argument("--rounds", type=int, help="timed calls per row")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--torch_python", help="an interpreter with torch")
    parser.add_argument("--peers", nargs="+", choices=tuple(PEERS), default=[], help="their groups")
    parser.add_argument("--anomalib_python", help="an interpreter with anomalib")
    parser.add_argument(
        "--runtimes_python",
        default=sys.executable,
        help="an interpreter with ONNX Runtime or OpenVINO, for whole commands; default: this one",
    )
    parser.add_argument(
        "--data",
        type=Path,
        help="a folder of images, for `metrics`, `decode` and as photographs; default: drawn ones",
    )
    parser.add_argument("--num_photographs", type=int, default=120, help="of whole commands")
    parser.add_argument("--photograph_size", type=int, default=900, help="side of drawn ones")
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
    for size in args.image_sizes:
        if size < 32 or size % 32:
            parser.error(f"--image_sizes must be multiples of 32, not {size}.")
    if args.stem_width < 1 or (args.rounds is not None and args.rounds < 1):
        parser.error("--stem_width and --rounds must be at least 1.")
    if args.num_photographs < 1 or args.photograph_size < 32:
        parser.error("--num_photographs must be at least 1, and --photograph_size 32.")
    needs = set(args.only or ()) & {name for names in PEERS.values() for name in names}
    if (args.peers or needs) and not args.anomalib_python:
        parser.error("give --anomalib_python, an interpreter with anomalib, for its rows.")
    return args


def main() -> None:
    args = read_arguments()
    start = time.perf_counter()
    rounds = args.rounds or (3 if args.quick else 7)
    report = {
        "commit": checkout_commit(),
        "machine": machine(),
        "devices": [],
        "versions": {name: version(name) for name in ("jax", "jaxlib", "numpy", "pillow")},
        "stem_width": args.stem_width,
        "precision": args.precision,
        "rounds": rounds,
        "max_others_cores": args.max_others_cores,
        "installed": {},
        "left_out": [],
        "cells": [],
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    for arch in args.arches:
        for image_size in args.image_sizes:
            settings = Settings(
                row="",
                arch=arch,
                batch=8,
                image_size=image_size,
                stem_width=args.stem_width,
                data=str(args.data.resolve()) if args.data else None,
                min_seconds=args.min_seconds,
                precision=args.precision,
            )
            measure_cell(report, settings, rounds, start, args)
    if any(cell["groups"] for cell in report["cells"]):
        draw(report, args.output.with_suffix(".png"))
    print(markdown(report))


def measure_cell(
    report: dict[str, Any],
    settings: Settings,
    rounds: int,
    start: float,
    args: argparse.Namespace,
) -> None:
    """Measures all groups of a backbone and image size, and writes the report after each."""
    pythons = {"torch": args.torch_python, "anomalib": args.anomalib_python}
    cell: dict[str, Any] = {
        "arch": settings.arch,
        "image_size": settings.image_size,
        "gflop_an_image": arithmetic(settings),
        "groups": {},
    }
    report["cells"].append(cell)
    whole = None
    for name in chosen_groups(args):
        if args.time_limit is not None and time.perf_counter() - start > args.time_limit:
            report["left_out"].append(
                {"arch": settings.arch, "image_size": settings.image_size, "group": name}
            )
        elif name == START_UP:
            cell["groups"][name] = measure_start_up(
                settings, rounds, args.anomalib_python, args.max_others_cores
            )
            report["installed"]["rdvar-jax"] = installed_size(sys.executable, "rdvar-jax[train]")
            if args.anomalib_python:
                report["installed"]["anomalib"] = installed_size(args.anomalib_python, "anomalib")
        else:
            if name in WHOLE:
                whole = whole or WholeCommands(
                    settings,
                    args.num_photographs,
                    args.photograph_size,
                    args.anomalib_python,
                    args.runtimes_python,
                )
                result = whole.measure(name, rounds, args.max_others_cores)
            else:
                result = measure(
                    GROUPS[name],
                    settings,
                    rounds,
                    pythons,
                    args.max_others_cores,
                    cell["gflop_an_image"],
                )
            report["versions"].update(result.pop("versions"))
            device = result["facts"].pop("device", None)
            if device and device not in report["devices"]:
                report["devices"].append(device)
            cell["groups"][name] = result
        # After each group, so that its measurements survive if the next one is stopped.
        args.output.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
        args.output.with_suffix(".md").write_text(markdown(report))
    if whole:
        whole.close()


if __name__ == "__main__":
    main()
