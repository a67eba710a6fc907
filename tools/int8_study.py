"""Measures what `rdvar export --precision int8` costs in accuracy, on trained runs.

For each run the float32 and the int8 ONNX file are written as a user writes them, and both score
the test set in ONNX Runtime and OpenVINO; so does a model with every convolution in int8, which the
export would refuse. Nothing of the test set is used to make a file.

    python tools/int8_study.py run --workdirs W1 W2 ... --output docs/benchmarks/int8_cpu.json
    python tools/int8_study.py table docs/benchmarks/int8_cpu.json

Runs that the output holds already are not repeated.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from collect_results import git_commit, machine

from rdvar_jax import Detector, Run, aupro, auroc, load_category
from rdvar_jax.cli.start import start_jax
from rdvar_jax.commands.export import export
from rdvar_jax.commands.thresholds.int8_images import int8_images
from rdvar_jax.serving.int8.make_int8 import load_score
from rdvar_jax.serving.int8.quantiser import Quantiser
from rdvar_jax.serving.runtimes.runtime import ONNX_RUNTIMES, ONNXRUNTIME

MEASURES = ("auroc", "aupro")


def measure(workdir: Path) -> dict[str, Any]:
    """Returns all figures of one run."""
    run = Run.open(workdir)
    config = run.config
    folder = Path(config.data.root, config.data.category)
    test = load_category(folder, image_size=config.data.image_size).test
    images = np.asarray(test.images)
    found: dict[str, Any] = {
        "category": config.data.category,
        "seed": config.train.seed,
        "lambda_var": config.loss.lambda_var,
        "arch": config.teacher.arch,
        "image_size": config.data.image_size,
        "epochs": config.train.epochs,
        "num_test": len(images),
    }

    def figures(maps: np.ndarray, scores: np.ndarray) -> dict[str, float | None]:
        of_pixels = aupro(maps, test.masks) if test.has_masks else None
        return {"auroc": auroc(scores, test.labels), "aupro": of_pixels}

    with tempfile.TemporaryDirectory() as made:
        plain, small = Path(made, "float32.onnx"), Path(made, "int8.onnx")
        export(config, run.workdir, plain, file_format="onnx", threshold=1.0)
        started = time.perf_counter()
        export(config, run.workdir, small, file_format="onnx", threshold=1.0, precision="int8")
        found["export_seconds"] = time.perf_counter() - started
        found["megabytes"] = {p.stem: p.stat().st_size / 1e6 for p in (plain, small)}
        for path in (plain, small):
            for runtime in ONNX_RUNTIMES:
                detector = Detector.load(path, runtime=runtime)
                predicted = detector.predict(images)
                found[f"{path.stem}_{runtime}"] = figures(predicted.maps, predicted.scores)
        found["quantisation"] = Detector.load(small).manifest["quantisation"]
        quantiser = Quantiser(plain.read_bytes(), int8_images(run.recipe).calibration.all)
        every = load_score(quantiser.model(quantiser.convolutions))
        found["every_onnxruntime"] = figures(*every(images))
    return found


def run(workdirs: Sequence[Path], output: Path) -> None:
    """Measures the runs that the output does not hold, and writes it after each."""
    start_jax()
    report: dict[str, Any] = {"runs": {}}
    if output.exists():
        report = json.loads(output.read_text())
    report |= {
        "commit": git_commit(),
        "machine": machine(),
        "versions": {name: version(name) for name in (*ONNX_RUNTIMES, "onnx", "numpy")},
    }
    for workdir in workdirs:
        config = Run.open(workdir).config
        name = f"{config.data.category} {config.train.seed} {config.loss.lambda_var:g}"
        if name in report["runs"]:
            continue
        report["runs"][name] = measure(workdir)
        output.write_text(json.dumps(report, indent=2, sort_keys=True) + "\n")
        print(name, json.dumps(report["runs"][name]["quantisation"]["check"]), flush=True)


def table(report: dict[str, Any]) -> str:
    """Formats the paired differences to float32 in points, by set, as Markdown."""
    lines = [
        "| Set | Seeds (λ) | float32 AUROC | int8 | every conv. int8 | float32 AUPRO | int8 "
        "| every conv. int8 | int8 layers |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    runs = _by_seed(report)
    for category in sorted({one["category"] for one in runs}):
        of_set = [one for one in runs if one["category"] == category]
        seeds = [f"{one['seed']} ({one['lambda_var']:g})" for one in of_set]
        cells = [category, ", ".join(seeds)]
        for measure_name in MEASURES:
            plain = [one[f"float32_{ONNXRUNTIME}"][measure_name] for one in of_set]
            if None in plain:
                cells += ["no masks", "", ""]
                continue
            cells.append(f"{100 * np.mean(plain):.2f}")
            for kind in ("int8", "every"):
                other = [one[f"{kind}_{ONNXRUNTIME}"][measure_name] for one in of_set]
                cells.append(_points(100 * (np.array(other) - plain)))
        layers = [one["quantisation"] for one in of_set]
        cells.append(", ".join(f"{one['num_int8']} of {len(one['sensitivity'])}" for one in layers))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _by_seed(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the runs by lambda_var, largest first, and seed."""
    return sorted(report["runs"].values(), key=lambda one: (-one["lambda_var"], one["seed"]))


def _points(differences: np.ndarray) -> str:
    each = ", ".join(f"{value:+.2f}" for value in differences)
    return f"{np.mean(differences):+.2f} ({each})"


def sensitivity_table(report: dict[str, Any]) -> str:
    """Formats the change of the maps by each convolution alone in int8, in % of their maxima."""
    runs = list(report["runs"].values())
    sets = sorted({one["category"] for one in runs})
    means: dict[str, list[float]] = {}
    for category in sets:
        of_set = [one["quantisation"] for one in runs if one["category"] == category]
        for name in of_set[0]["sensitivity"]:
            values = [one["sensitivity"][name] for one in of_set]
            means.setdefault(name, []).append(100 * float(np.mean(values)))
    lines = ["| Convolution | " + " | ".join(sets) + " |", "|---|" + "---|" * len(sets)]
    for name, values in sorted(means.items(), key=lambda item: -max(item[1])):
        lines.append(f"| `{name}` | " + " | ".join(f"{value:.2f}" for value in values) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run")
    running.add_argument("--workdirs", type=Path, nargs="+", required=True)
    running.add_argument("--output", type=Path, required=True)
    showing = commands.add_parser("table")
    showing.add_argument("report", type=Path)
    args = parser.parse_args()
    if args.command == "run":
        run(args.workdirs, args.output)
    else:
        report = json.loads(args.report.read_text())
        print(table(report), sensitivity_table(report), sep="\n\n")


if __name__ == "__main__":
    main()
