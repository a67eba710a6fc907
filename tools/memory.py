"""Measures the memory of `rdvar train` and `rdvar predict`, each in its own process.

    python tools/memory.py train --budget_gb 0.05 --image_size 256 [--num_workers 2]
    python tools/memory.py predict --num_images 1000 --side 1024 [--weights resnet18.pth]

train      writes noise images, ten times as much as the budget, trains a tiny network twice, once
           on as many images as a batch has and once on all, and compares the peaks. The peak is the
           largest sum over the processes of a run, workers included, of each one's private memory
           plus its part of shared memory (Linux: PSS).
predict    draws images, trains a ResNet-18 for one step on some like them (with the teacher in the
           package, or `--weights`), predicts all with all pictures, and prints the peak of resident
           memory.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[1]
SAMPLE_SECONDS = 0.05

# Of `train`.
BATCH = 16
ALLOWED_GB = 1.073741824  # 1 GiB over the budget
TIMES = 10

# Of `predict`.
NUM_TRAIN = 16
NUM_DRAWN = 50  # different images; the others are links to these


def main() -> None:
    """Reads the command line and measures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    train = commands.add_parser("train", help="on a set ten times larger than its budget")
    train.set_defaults(measure=measure_training)
    train.add_argument("--budget_gb", type=float, default=0.05, help="data.memory_budget_gb")
    train.add_argument("--image_size", type=int, default=256)
    train.add_argument("--num_workers", type=int, default=0, help="data.num_workers")
    train.add_argument("--epochs", type=int, default=1)
    predict = commands.add_parser("predict", help="on many large images")
    predict.set_defaults(measure=measure_prediction)
    predict.add_argument("--num_images", type=int, default=1000)
    predict.add_argument("--side", type=int, default=1024, help="of the images, in pixels")
    predict.add_argument("--image_size", type=int, default=256, help="at which they are scored")
    predict.add_argument("--batch_size", type=int, default=16)
    predict.add_argument("--weights", default="procedural", help="of the teacher, a ResNet-18")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        args.measure(Path(folder), args)


def measure_training(folder: Path, args: argparse.Namespace) -> None:
    """Compares the peaks of training on few and on all images.

    Raises:
        SystemExit: the difference is over what is allowed.
    """
    bytes_each = args.image_size**2 * 3
    number = math.ceil(TIMES * args.budget_gb * 1e9 / bytes_each)
    peaks, said = [], ""
    for name, count, budget in (("few", BATCH, 0), ("all", number, args.budget_gb)):
        images = folder / name / "noise" / "train" / "good"
        write_images(images, count, args.image_size, noise_image, compress_level=0)
        settings = {
            "data.root": folder / name,
            "data.layout": "folder",
            "data.memory_budget_gb": budget,
            "data.num_workers": args.num_workers,
            "data.image_size": args.image_size,
            "teacher.stem_width": 4,
            "train.batch_size": BATCH,
            "train.epochs": args.epochs,
        }
        run = run_rdvar(
            *("train", "--config", f"{REPOSITORY / 'configs' / 'smoke.py'}:noise"),
            *("--workdir", folder / f"{name}_run"),
            *(f"--config.{setting}={value}" for setting, value in settings.items()),
            environment={"JAX_PLATFORMS": "cpu"},
        )
        peaks.append(run.shared_bytes / 1e9)
        said = next(line for line in run.log.splitlines() if "training images" in line)
    baseline, peak = peaks
    lines = (folder / "all_run" / "metrics.jsonl").read_text().splitlines()
    waits = [line["data_wait"] for line in map(json.loads, lines) if line["kind"] == "epoch"]
    print(said)
    print(f"images             {number} of {args.image_size}x{args.image_size}")
    print(f"decoded            {number * bytes_each / 1e9:.3f} GB")
    print(f"budget             {args.budget_gb:.3f} GB")
    print(f"peak, {BATCH} images    {baseline:.3f} GB")
    print(f"peak, all images   {peak:.3f} GB")
    print(f"above the baseline {peak - baseline:.3f} GB, allowed {args.budget_gb + ALLOWED_GB:.3f}")
    print(f"waiting for data   {', '.join(f'{wait:.0%}' for wait in waits)} of an epoch's time")
    if peak - baseline > args.budget_gb + ALLOWED_GB:
        raise SystemExit("over what is allowed")


def measure_prediction(folder: Path, args: argparse.Namespace) -> None:
    """Prints the peak of predicting many images, with all pictures."""
    images, drawn = folder / "images", min(args.num_images, NUM_DRAWN)
    for where, count in ((folder / "parts" / "part" / "good", NUM_TRAIN), (images, drawn)):
        write_images(where, count, args.side, surface_image, compress_level=1)
    for index in range(NUM_DRAWN, args.num_images):
        os.link(images / f"{index % NUM_DRAWN:06}.png", images / f"{index:06}.png")
    width = ["--config.teacher.stem_width=32"] if args.weights == "procedural" else []
    run_rdvar(
        *("train", "--config", f"{REPOSITORY / 'configs' / 'mvtec_resnet18.py'}:part"),
        *("--workdir", folder / "run"),
        f"--config.data.root={folder / 'parts'}",
        f"--config.data.image_size={args.image_size}",
        f"--config.teacher.weights={args.weights}",
        f"--config.score.batch_size={args.batch_size}",
        "--config.train.epochs=1",
        *width,
    )
    started = time.monotonic()
    run = run_rdvar(
        *("predict", "--workdir", folder / "run", "--input", images),
        *("--output", folder / "out", "--threshold", "0.5", "--save_masks"),
    )
    seconds = time.monotonic() - started
    num_rows = len((folder / "out" / "scores.jsonl").read_text().splitlines())
    print(
        f"{num_rows} images of {args.side} x {args.side}, scored at {args.image_size} in batches "
        f"of {args.batch_size}: peak {run.resident_bytes / 2**30:.2f} GiB, {seconds:.0f} s"
    )


def write_images(folder: Path, number: int, side: int, make, compress_level: int) -> None:
    """Writes PNG files from `make(rng, side)`; every file is a different image."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(number)
    for index in range(number):
        image = Image.fromarray(make(rng, side))
        image.save(folder / f"{index:06}.png", compress_level=compress_level)


def noise_image(rng: np.random.Generator, side: int) -> np.ndarray:
    """Makes noise, uint8 [side, side, 3]."""
    return rng.integers(0, 256, (side, side, 3), dtype=np.uint8)


def surface_image(rng: np.random.Generator, side: int) -> np.ndarray:
    """Makes a smooth surface with noise, which PNG compresses badly, as in photographs."""
    coarse = Image.fromarray(rng.integers(60, 200, (16, 16, 3), np.uint8))
    smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), np.int16)
    return np.clip(smooth + rng.integers(-6, 7, smooth.shape, np.int16), 0, 255).astype(np.uint8)


class Run(NamedTuple):
    """Memory and output of a process."""

    shared_bytes: int
    """Largest sum of PSS over it and all its descendants, sampled."""
    resident_bytes: int
    """Peak of its own resident memory, from the system."""
    log: str


def run_rdvar(*words: object, environment: dict[str, str] | None = None) -> Run:
    """Runs a command to its end.

    Raises:
        SystemExit: it failed; its output is printed.
    """
    command = [sys.executable, "-m", "rdvar_jax", *map(str, words)]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, env={**os.environ, **(environment or {})}, stderr=log, stdout=log
        )
        peak = 0
        while not (waited := os.wait4(process.pid, os.WNOHANG))[0]:
            peak = max(peak, shared_bytes(process.pid))
            time.sleep(SAMPLE_SECONDS)
        process.returncode = os.waitstatus_to_exitcode(waited[1])
        log.seek(0)
        text = log.read()
    if process.returncode != 0:
        raise SystemExit(text)
    return Run(peak, waited[2].ru_maxrss * 1024, text)  # Linux: KiB


def shared_bytes(pid: int) -> int:
    """Returns the PSS of a process and all its descendants."""
    total = 0
    try:
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            total += one.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        pass  # it ended meanwhile
    return total


if __name__ == "__main__":
    main()
