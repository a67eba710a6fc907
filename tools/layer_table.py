"""Times every distinct convolution of the networks, and its gradients, beside PyTorch.

    python tools/layer_table.py --arch resnet18 --image_size 64 --batch 8 \
        --torch_python PYTHON --output layers

Each layer is called as the networks call it: through the modules of `models/layers.py`, compiled
with this package's options, "scoring" with the variables that scoring prepares. PyTorch calls its
convolution and the gradients one by one, `channels_last`. The two are timed in turn, in separate
processes, each idle while the other is timed. Writes OUTPUT.json and OUTPUT.md and prints the
latter. PYTHON is an interpreter with torch; without it only this project is timed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmark_rows.layer import PASSES, Layer, read_layers
from benchmark_rows.process import HERE, Process, row_command
from benchmark_rows.serve import Settings
from benchmark_rows.summary import compare, summarise
from benchmark_rows.tables import number, percent, table
from collect_results import checkout_commit, machine

from rdvar_jax.models.precision import PRECISIONS

MAX_OTHERS = 0.1
"""As in benchmark.py: cores that others may keep busy during a call."""


def main() -> None:
    args = read_arguments()
    settings = Settings(
        row="",
        arch=args.arch,
        batch=args.batch,
        image_size=args.image_size,
        stem_width=args.stem_width,
        data=None,
        min_seconds=args.min_seconds,
        passes=tuple(args.passes),
    )
    layers = [layer for layer in distinct_layers(settings) if args.layers in layer.name]
    if not layers:
        raise SystemExit(f"--layers {args.layers!r}: no layer's name contains it.")
    report = {
        "commit": checkout_commit(),
        "machine": machine(),
        "versions": {name: version(name) for name in ("jax", "jaxlib", "numpy")},
        "arch": args.arch,
        "image_size": args.image_size,
        "stem_width": args.stem_width,
        "batch": args.batch,
        "precision": args.precision,
        "copies": args.copies,
        "rounds": args.rounds,
        "max_others_cores": args.max_others_cores,
        **time_layers(
            layers,
            settings,
            args.precision,
            args.copies,
            args.rounds,
            args.torch_python,
            args.max_others_cores,
        ),
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    text = markdown(report)
    args.output.with_suffix(".md").write_text(text)
    print(text)


def distinct_layers(settings: Settings) -> list[Layer]:
    """The networks' layers, from a process of its own, which must not touch a GPU."""
    command = [sys.executable, str(HERE / "find_layers.py"), row_command("", "", settings)[-1]]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return read_layers(done.stdout)


def time_layers(
    layers: list[Layer],
    settings: Settings,
    precision: str,
    copies: int,
    rounds: int,
    torch_python: str | None,
    max_others: float,
    environment: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Times the layers in turn; each call has its own line in the result.

    Args:
        layers: from `distinct_layers`.
        settings: of the processes, with the passes to time.
        precision: one of `PRECISIONS`.
        copies: independent layers a call; times are of one.
        rounds: timed calls of each.
        torch_python: an interpreter with torch, or None.
        max_others: as in `compare`.
        environment: of the processes; this one's if None.

    Returns:
        {"device", "versions_of_torch", "layers"}: of each layer and pass its times, ratios and
        GFLOP/s.
    """
    row = f"layers+{precision}" + (f"+{copies}" if copies > 1 else "")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layers.json"
        path.write_text(json.dumps([asdict(layer) for layer in layers]))
        settings = replace(settings, row=row, data=str(path))
        ours = Process(sys.executable, "layers", settings, environment)
        theirs = None
        if torch_python:
            theirs = Process(torch_python, "torch_layers", settings, environment)
    lines = []
    for layer in layers:
        for name in PASSES:
            call = f"ours, {name}, {layer.name}"
            if call not in ours.about:
                continue
            peer = f"torch, {name}, {layer.name}"
            times: dict[str, list[dict[str, float]]] = {call: []}
            if theirs:
                times[peer] = []
            for index in range(rounds):
                for each in list(times) if index % 2 == 0 else list(times)[::-1]:
                    process = theirs if theirs and each == peer else ours
                    times[each].append(process.time_once(each))
            lines.append(_line(layer, name, copies, list(times.values()), max_others))
    for process in filter(None, (ours, theirs)):
        process.close()
    return {
        "device": ours.facts["device"],
        "versions_of_torch": theirs.facts["versions"] if theirs else {},
        "layers": _with_shares(lines),
    }


def _line(
    layer: Layer, name: str, copies: int, calls: list[list[dict[str, float]]], max_others: float
) -> dict[str, Any]:
    """One layer and pass: of one layer, so divided by the copies of a call."""
    rows = {who: summarise(each, {}) for who, each in zip(("ours", "torch"), calls, strict=False)}
    compared = compare(rows, [("ours", "torch")] if len(rows) == 2 else [], max_others)
    ratios = (compared["ratios"] or {}).get("ours / torch")
    line = {
        "layer": layer.name,
        "pass": name,
        "count": layer.counts[name],
        "teacher": layer.teacher,
        "student": layer.student,
        "gflop": layer.gflop,
        "disturbed": compared["disturbed"],
        "ratio_of_medians": ratios and ratios["seconds_median"],
        "ratio_of_minima": ratios and ratios["seconds_min"],
    }
    for who, row in rows.items():
        line[who] = {
            "seconds_median": row["seconds_median"] / copies,
            "seconds_min": row["seconds_min"] / copies,
            "gflop_per_second": layer.gflop * copies / row["seconds_median"],
            "others_cores": row["others_cores"],
        }
    return line


def _with_shares(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds the share of the time of all convolutions, of a step or, in scoring, of scoring."""
    for line in lines:
        scoring = line["pass"] == "scoring"
        alike = [other for other in lines if (other["pass"] == "scoring") == scoring]
        total = sum(other["count"] * other["ours"]["seconds_median"] for other in alike)
        line["share"] = line["count"] * line["ours"]["seconds_median"] / total
    return lines


def markdown(report: dict[str, Any]) -> str:
    """Formats the layers as a table, with sums over all layers of the networks below."""
    head = (
        f"`{report['arch']}`, {report['image_size']} px, batch {report['batch']}, stem width "
        f"{report['stem_width']}, {report['precision']}, {report['rounds']} rounds of "
        f"{report['copies']}; {report['device']}; {report['machine']['processor']}, "
        f"{report['machine']['cores']} cores. Commit {report['commit']}. "
        "n: how many the networks have; share: of the time of a step's convolutions here, or of "
        "scoring's."
    )
    lines = report["layers"]
    return f"{head}\n\n{markdown_lines(lines)}\n\n{_sums(lines)}\n"


def markdown_lines(lines: list[dict[str, Any]]) -> str:
    """One line for each layer and pass."""
    header = ["Pass", "Layer", "n", "ms here", "ms torch", "here / torch", "by minima"]
    header += ["GFLOP/s here", "torch", "share"]
    return table(header, [_cells(line) for line in lines])


def _cells(line: dict[str, Any]) -> list[str]:
    ours, theirs = line["ours"], line.get("torch", {})

    def milliseconds(row: dict[str, Any]) -> str:
        return number(1e3 * row["seconds_median"]) if row else ""

    return [
        line["pass"],
        line["layer"],
        str(line["count"]),
        milliseconds(ours),
        milliseconds(theirs),
        "disturbed" if line["disturbed"] else number(line["ratio_of_medians"]),
        number(line["ratio_of_minima"]),
        number(ours["gflop_per_second"]),
        number(theirs.get("gflop_per_second")),
        percent(line["share"]),
    ]


def _sums(lines: list[dict[str, Any]]) -> str:
    """All layers of the networks together, by pass: milliseconds and their ratio."""
    header = ["All layers", "ms here", "ms torch", "here / torch"]
    rows = []
    for name in PASSES:
        chosen = [line for line in lines if line["pass"] == name]
        if not chosen:
            continue
        sums = [
            1e3 * sum(line["count"] * line[who]["seconds_median"] for line in chosen)
            for who in ("ours", "torch")
            if who in chosen[0]
        ]
        disturbed = any(line["disturbed"] for line in chosen)
        ratio = "" if len(sums) < 2 else "disturbed" if disturbed else number(sums[0] / sums[1])
        rows.append([name, *map(number, sums), *([""] if len(sums) < 2 else []), ratio])
    return table(header, rows)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arch", default="wide_resnet50_2")
    parser.add_argument("--image_size", type=int, default=256)
    parser.add_argument("--stem_width", type=int, default=64, help="64 is torchvision's")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--passes", nargs="+", choices=PASSES, default=PASSES)
    parser.add_argument("--layers", default="", help="only layers whose name contains this")
    parser.add_argument("--copies", type=int, default=1, help="layers a call; 10 on a GPU")
    parser.add_argument("--rounds", type=int, default=5, help="timed calls of each")
    parser.add_argument("--min_seconds", type=float, default=0.1, help="of a timed call")
    parser.add_argument("--torch_python", help="an interpreter with torch")
    parser.add_argument(
        "--max_others_cores",
        type=float,
        default=MAX_OTHERS,
        help=f"cores that others may use during a call for a ratio; {MAX_OTHERS:g}",
    )
    parser.add_argument("--output", type=Path, required=True, help="path without suffix")
    args = parser.parse_args()
    if args.image_size < 32 or args.image_size % 32:
        parser.error(f"--image_size must be a multiple of 32, not {args.image_size}.")
    if min(args.stem_width, args.batch, args.copies, args.rounds) < 1:
        parser.error("--stem_width, --batch, --copies and --rounds must be at least 1.")
    return args


if __name__ == "__main__":
    main()
