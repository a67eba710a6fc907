"""Times one scoring network in each runtime and precision, side by side, and their memory.

    python tools/benchmark_runtimes.py files W --folder F    # a run's bundle and ONNX files
    python tools/benchmark_runtimes.py files wide_resnet50_2 --folder F    # random weights, 256 px
    python tools/benchmark_runtimes.py run --folder F --output docs/benchmarks/runtimes_cpu.json
    python tools/benchmark_runtimes.py table docs/benchmarks/runtimes_cpu.json

Each row is a process of its own. They take turns, so that all meet the same machine; what is timed
is uint8 pixels to maps and scores in numpy. Run it on a quiet machine.
"""

import argparse
import json
import logging
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from collect_results import git_commit, machine

ROWS = (
    "bundle float32",
    "onnxruntime float32",
    "onnxruntime int8",
    "openvino float32",
    "openvino bfloat16",
    "openvino int8",
    "torch float32",
    "torch bfloat16",
)
BATCHES = (1, 8)
SECONDS = 0.5
"""Of one turn of a row at one batch size, at least three calls."""

Score = Callable[[np.ndarray], Any]


def write_run(workdir: Path, folder: Path) -> dict[str, Any]:
    """Writes the files of a trained run as users do."""
    from rdvar_jax import Run
    from rdvar_jax.commands.export import export

    run = Run.open(workdir)
    config = run.config
    options: dict[str, Any] = {"threshold": 1.0}
    export(config, run.workdir, folder / "bundle.rdvar", **options)
    options["file_format"] = "onnx"
    export(config, run.workdir, folder / "float32.onnx", **options)
    export(config, run.workdir, folder / "int8.onnx", **options, precision="int8")
    return {
        "arch": config.teacher.arch,
        "size": config.data.image_size,
        "weights": f"trained on {config.data.category}",
    }


def write_random(arch: str, size: int, folder: Path) -> dict[str, Any]:
    """Writes files of a network with random weights, which are good for times alone.

    In int8 are all convolutions but the first and those of the teacher's layer1, which trained runs
    keep in float32.
    """
    from rdvar_jax.models.build import build_student, build_teacher, image_shape, student_shapes
    from rdvar_jax.models.initialise import init_variables
    from rdvar_jax.scoring.maps import SIGMA
    from rdvar_jax.serving.archive import PROGRAM, WEIGHTS, write_bundle
    from rdvar_jax.serving.int8.quantiser import Quantiser
    from rdvar_jax.serving.onnx_network import build_onnx
    from rdvar_jax.serving.program import bundled_weights, export_program, folded_weights
    from rdvar_jax.weights.architectures import IMAGENET_WIDTH
    from rdvar_jax.weights.safetensors_file import safetensors_bytes

    teacher, student = build_teacher(arch, IMAGENET_WIDTH), build_student(arch, IMAGENET_WIDTH)
    weights = folded_weights(
        init_variables(teacher, image_shape(size), seed=0),
        init_variables(student, student_shapes(student, size), seed=0, train=False),
    )
    about = {"image": {"geometry": "squash", "height": size, "width": size}, "threshold": None}
    bundled = bundled_weights(teacher, student, weights, size, "tf32")
    program = export_program(teacher, student, bundled, size, SIGMA, "tf32")
    members = {PROGRAM: program, WEIGHTS: safetensors_bytes(bundled, {})}
    write_bundle(folder / "bundle.rdvar", about, members)
    model = build_onnx(arch, weights, size, SIGMA, {"rdvar": json.dumps(about)})
    (folder / "float32.onnx").write_bytes(model)
    quantiser = Quantiser(model, pixels(size)[:2])
    kept = ("teacher/conv1", "teacher/layer1/")
    names = [name for name in quantiser.convolutions if not name.startswith(kept)]
    (folder / "int8.onnx").write_bytes(quantiser.model(names))
    return {"arch": arch, "size": size, "weights": "random"}


def pixels(size: int) -> np.ndarray:
    """Returns images of noise, uint8 [8, size, size, 3]; their content does not change a time."""
    shape = (max(BATCHES), size, size, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def load(row: str, folder: Path, about: dict[str, Any]) -> Score:
    """Returns what a row's process calls."""
    runtime, precision = row.split()
    if runtime == "torch":
        from benchmark_rows.torch_score import torch_score

        return torch_score(about["arch"], about["size"], precision)
    if runtime == "openvino" and precision == "bfloat16":
        return _openvino_bfloat16(folder / "float32.onnx")
    from rdvar_jax import Detector

    if runtime == "bundle":
        return Detector.load(folder / "bundle.rdvar").score
    return Detector.load(folder / f"{precision}.onnx", runtime=runtime).score


def _openvino_bfloat16(path: Path) -> Score:
    from rdvar_jax.serving.onnx_names import INPUT, MAP, SCORE
    from rdvar_jax.serving.runtimes import openvino_model

    core = openvino_model.openvino.Core()
    options = openvino_model.settings(len(os.sched_getaffinity(0)), "bf16")
    compiled = core.compile_model(core.read_model(path.read_bytes()), "CPU", options)
    request = compiled.create_infer_request()

    def score(images: np.ndarray) -> Any:
        found = request.infer({INPUT: images})
        return np.array(found[MAP]), np.array(found[SCORE])

    return score


def serve(row: str, folder: Path) -> None:
    """Answers each batch size on standard input with the seconds of single calls."""
    logging.disable(logging.WARNING)
    about = json.loads((folder / "about.json").read_text())
    images = pixels(about["size"])
    started = time.perf_counter()
    score = load(row, folder, about)
    score(images[:1])
    print(json.dumps({"load_seconds": time.perf_counter() - started}), flush=True)
    for line in sys.stdin:
        batch, taken = images[: int(line)], []
        score(batch)
        begun = time.perf_counter()
        while len(taken) < 3 or time.perf_counter() - begun < SECONDS:
            before = time.perf_counter()
            score(batch)
            taken.append(time.perf_counter() - before)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": taken, "peak_mb": peak}), flush=True)


def run(folder: Path, rounds: int, rows: Sequence[str], batches: Sequence[int]) -> dict[str, Any]:
    """Times all rows in turn."""
    command = [sys.executable, __file__, "serve", "--folder", str(folder), "--row"]
    pipes: dict[str, Any] = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    processes: dict[str, Any] = {}
    found: dict[str, Any] = {}
    for row in rows:  # one after the other, so that none disturbs the load of another
        processes[row] = subprocess.Popen([*command, row], **pipes)
        found[row] = json.loads(processes[row].stdout.readline()) | {"seconds": {}}
    for _ in range(rounds):
        for row, process in processes.items():
            for batch in batches:
                process.stdin.write(f"{batch}\n")
                process.stdin.flush()
                answer = json.loads(process.stdout.readline())
                found[row]["seconds"].setdefault(str(batch), []).extend(answer["seconds"])
                found[row]["peak_mb"] = answer["peak_mb"]
    for process in processes.values():
        process.communicate()  # closes both pipes, and so ends it
    for row in found.values():
        row["median_ms"] = {
            batch: 1000 * float(np.median(taken)) for batch, taken in row["seconds"].items()
        }
        row["quartiles_ms"] = {
            batch: [1000 * float(q) for q in np.quantile(taken, [0.25, 0.75])]
            for batch, taken in row.pop("seconds").items()
        }
    return found


def table(report: dict[str, Any]) -> str:
    """Formats each network's rows, with the ratio to float32 in ONNX Runtime, as Markdown."""
    parts = []
    for name, one in report["networks"].items():
        base = one["rows"]["onnxruntime float32"]["median_ms"]
        lines = [
            f"{name}; commit {one['commit']}",
            "",
            "| Runtime, precision | 1 image, ms | of ORT float32 | 8 images, ms | of ORT float32 "
            "| peak memory, MB |",
            "|---|---|---|---|---|---|",
        ]
        for row, found in one["rows"].items():
            cells = [row]
            for batch in map(str, BATCHES):
                if batch not in base:
                    cells += ["", ""]
                    continue
                median = found["median_ms"][batch]
                cells += [f"{median:.1f}", f"{median / base[batch]:.2f}"]
            lines.append("| " + " | ".join([*cells, f"{found['peak_mb']:.0f}"]) + " |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def add(
    folder: Path, output: Path, rounds: int, rows: Sequence[str], batches: Sequence[int]
) -> None:
    """Measures the network of a folder and adds it to a report."""
    about = json.loads((folder / "about.json").read_text())
    report = json.loads(output.read_text()) if output.exists() else {"networks": {}}
    packages = ("onnxruntime", "openvino", "torch", "jax", "numpy")
    report |= {"machine": machine(), "versions": {name: version(name) for name in packages}}
    name = f"{about['arch']}, {about['size']} px, weights {about['weights']}"
    report["networks"][name] = {
        **about,
        "commit": git_commit(),
        "rounds": rounds,
        "rows": run(folder, rounds, rows, batches),
    }
    output.write_text(json.dumps(report, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("files")
    making.add_argument("network", help="a run's folder, or a backbone for random weights")
    making.add_argument("--size", type=int, default=256)
    running, serving = commands.add_parser("run"), commands.add_parser("serve")
    running.add_argument("--output", type=Path, required=True)
    running.add_argument("--rounds", type=int, default=3)
    running.add_argument("--rows", nargs="+", default=ROWS)
    running.add_argument("--batches", type=int, nargs="+", choices=BATCHES, default=BATCHES)
    serving.add_argument("--row", required=True)
    for one in (making, running, serving):
        one.add_argument("--folder", type=Path, required=True)
    commands.add_parser("table").add_argument("report", type=Path)
    args = parser.parse_args()
    if args.command == "files":
        args.folder.mkdir(exist_ok=True)
        is_run = Path(args.network).is_dir()
        about = (
            write_run(Path(args.network), args.folder)
            if is_run
            else write_random(args.network, args.size, args.folder)
        )
        (args.folder / "about.json").write_text(json.dumps(about))
    elif args.command == "serve":
        serve(args.row, args.folder)
    elif args.command == "run":
        add(args.folder, args.output, args.rounds, args.rows, args.batches)
    else:
        print(table(json.loads(args.report.read_text())))


if __name__ == "__main__":
    main()
