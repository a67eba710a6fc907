"""Measures this project on a GPU, branch by branch, the most important first.

    tools/benchmark_gpu.sh --output OUTPUT [--torch_python PYTHON] [--data FOLDER]
    tools/benchmark_gpu.sh --output OUTPUT --rehearse
    tools/benchmark_gpu.sh --output OUTPUT --only layers flags

NOT YET RUN ON A GPU. Correctness comes first: scoring and train steps in float32 and bfloat16
against float64. Then WideResNet50 at 256 px: the step with and without kept features, pmap and
shard_map, several steps a call, larger batches, scoring, PyTorch published, tuned and compiled, the
cost of L_var, every convolution and its gradients beside cuDNN, XLA's flags; then a whole training
with evaluation, and the evidence sets. OUTPUT.json and OUTPUT.md are written after each row, so
that a killed call loses one. A row that cannot be measured is named with its reason; one that fails
too, and the others are measured all the same. Exit codes: 0 all is right, 1 a row has failed, 2 an
error to fix.

--rehearse goes through every branch on the CPU at tiny sizes; its numbers mean nothing.
"""

import argparse
import importlib.util
import json
import os
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from collect_results import checkout_commit, machine
from gpu.branches import BRANCHES
from gpu.device import find_device
from gpu.plan import Plan
from gpu.report import add_shares, markdown

TIME_LIMIT = 540
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "torch")


def main() -> int:
    """Runs the command and returns the exit code."""
    args = read_arguments()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        plan = make_plan(args, Path(scratch), start)
        try:
            device = find_device(plan)
        except SystemExit as reason:
            print(reason, file=sys.stderr)
            return 2
        report: dict[str, Any] = {
            "status": "REHEARSAL on the CPU: the numbers mean nothing" if plan.rehearse else "GPU",
            "device": device,
            "machine": machine(),
            "commit": checkout_commit() or os.environ.get("COMMIT"),
            "versions": versions(),
            "plan": {
                name: getattr(plan, name)
                for name in ("arch", "stem_width", "image_size", "batch", "rounds", "copies")
            },
            "seconds": 0.0,
            "not_begun": [],
            "branches": {},
        }
        args.output.parent.mkdir(parents=True, exist_ok=True)
        for name in args.only or BRANCHES:
            if plan.seconds_left <= 0:
                report["not_begun"].append(name)
            else:
                measure_branch(name, plan, report, args.output, start)
        write(report, args.output, start)
    print(markdown(report))
    failed = [row["row"] for rows in report["branches"].values() for row in rows if "failed" in row]
    if failed:
        print(f"benchmark_gpu: failed: {'; '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


def measure_branch(
    name: str, plan: Plan, report: dict[str, Any], output: Path, start: float
) -> None:
    """Measures a branch until the deadline, and writes the report after each row."""
    rows = report["branches"].setdefault(name, [])
    began = time.perf_counter()
    for row in BRANCHES[name](plan):
        rows.append({**row, "took_seconds": time.perf_counter() - began})
        print(f"{time.perf_counter() - start:5.0f} s  {name}: {row['row']}", file=sys.stderr)
        write(report, output, start)
        began = time.perf_counter()
        if plan.seconds_left <= 0:
            rows.append({"row": "further rows, if any", "left_out": "no time"})
            break


def write(report: dict[str, Any], output: Path, start: float) -> None:
    """Writes OUTPUT.json and OUTPUT.md."""
    report["seconds"] = time.perf_counter() - start
    add_shares(report["branches"])
    output.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    output.with_suffix(".md").write_text(markdown(report))


def make_plan(args: argparse.Namespace, scratch: Path, start: float) -> Plan:
    plan = Plan(
        rehearse=args.rehearse,
        torch_python=args.torch_python,
        data=args.data,
        weights=args.weights,
        sets=tuple(args.sets),
        seeds=tuple(args.seeds),
        deadline=start + args.time_limit,
        scratch=scratch,
    )
    return plan.rehearsal() if args.rehearse else plan


def versions() -> dict[str, str]:
    """Those of the packages that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            pass
    return found


def read_arguments() -> argparse.Namespace:
    here = sys.executable if importlib.util.find_spec("torch") else None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="path without suffix")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, tiny")
    parser.add_argument("--only", nargs="+", choices=tuple(BRANCHES), help="these branches")
    parser.add_argument(
        "--torch_python", default=here, help="an interpreter with torch; default: this, if it has"
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=folder_of("DATA"),
        help="folder with MVTec AD's screw; default: DATA in the environment",
    )
    parser.add_argument(
        "--weights",
        default=os.environ.get("WEIGHTS", "random"),
        help="the teacher's, for training; default: WEIGHTS in the environment, or random ones",
    )
    parser.add_argument(
        "--sets",
        type=Path,
        nargs="+",
        default=[Path(word) for word in os.environ.get("SETS", "").split()],
        help="folders of categories for the evidence; default: SETS in the environment",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the evidence")
    parser.add_argument(
        "--time_limit",
        type=float,
        default=TIME_LIMIT,
        help=f"seconds after which no row is started; {TIME_LIMIT}",
    )
    args = parser.parse_args()
    for folder in [*([args.data] if args.data else []), *args.sets]:
        if not folder.is_dir():
            parser.error(f"{folder} is not a folder; give one with categories, or omit it.")
    return args


def folder_of(name: str) -> Path | None:
    value = os.environ.get(name)
    return Path(value) if value else None


if __name__ == "__main__":
    sys.exit(main())
