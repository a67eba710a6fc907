"""How much memory training takes on a set ten times larger than its budget.

    python tools/stream_memory.py --budget_gb 0.05 --image_size 256
    python tools/stream_memory.py --budget_gb 0.05 --image_size 256 --num_workers 2

Writes noise images, trains a tiny network twice with `rdvar train`, once on as many images as a
batch has and once on all, and compares the peaks. With worker processes theirs count too: the peak
is the largest sum over the processes of a run, of what each has in memory for itself plus its part
of what it shares (Linux: PSS).
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

import numpy as np
import psutil
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[1]
BATCH = 16
ALLOWED_GB = 1.073741824  # 1 GiB over the budget
TIMES = 10
SAMPLE_SECONDS = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budget_gb", type=float, default=0.05, help="data.memory_budget_gb")
    parser.add_argument("--image_size", type=int, default=256)
    parser.add_argument("--num_workers", type=int, default=0, help="data.num_workers")
    parser.add_argument("--epochs", type=int, default=1)
    args = parser.parse_args()
    bytes_each = args.image_size**2 * 3
    number = math.ceil(TIMES * args.budget_gb * 1e9 / bytes_each)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_images(root / "few" / "noise", BATCH, args.image_size)
        write_images(root / "all" / "noise", number, args.image_size)
        baseline, _ = peak_gb(root / "few", root / "few_run", args)
        peak, said = peak_gb(root / "all", root / "all_run", args)
        lines = (root / "all_run" / "metrics.jsonl").read_text().splitlines()
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


def write_images(folder: Path, number: int, side: int) -> None:
    """Writes a category without test images; every file is another noise."""
    (folder / "train" / "good").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(number):
        pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        path = folder / "train" / "good" / f"{index:06}.png"
        Image.fromarray(pixels).save(path, compress_level=0)


def peak_gb(root: Path, workdir: Path, args: argparse.Namespace) -> tuple[float, str]:
    """The peak of a training run in 10^9 bytes, and what it said of its images."""
    settings = {
        "data.root": root,
        "data.layout": "folder",
        "data.memory_budget_gb": args.budget_gb if root.name == "all" else 0,
        "data.num_workers": args.num_workers,
        "data.image_size": args.image_size,
        "teacher.stem_width": 4,
        "train.batch_size": BATCH,
        "train.epochs": args.epochs,
    }
    command = [sys.executable, "-m", "rdvar_jax", "train", "--workdir", str(workdir)]
    command += ["--config", f"{REPOSITORY / 'configs' / 'smoke.py'}:noise"]
    command += [f"--config.{name}={value}" for name, value in settings.items()]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, env=environment, stderr=log, stdout=log)
        peak = 0
        while process.poll() is None:
            peak = max(peak, memory_of(psutil.Process(process.pid)))
            time.sleep(SAMPLE_SECONDS)
        log.seek(0)
        text = log.read()
    if process.returncode != 0:
        raise SystemExit(text)
    return peak / 1e9, next(line for line in text.splitlines() if "training images" in line)


def memory_of(process: psutil.Process) -> int:
    """Bytes of a process and all below it."""
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        pass  # it ended meanwhile
    return total


if __name__ == "__main__":
    main()
