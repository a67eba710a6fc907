"""Measures the memory of `rdvar predict` on many large images: the peak of the whole process.

    python tools/predict_memory.py --num_images 1000 --side 1024 [--weights resnet18.pth]

Draws the images, trains a ResNet-18 for one step on some like them (with the teacher in the
package, or `--weights`), then calls `rdvar predict` with all its pictures on all of them, in a
process of its own, and prints that process's peak of resident memory.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

NUM_TRAIN = 16
NUM_DRAWN = 50  # different images; the others are links to these


def main() -> None:
    """Draws, trains, predicts and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--num_images", type=int, default=1000)
    parser.add_argument("--side", type=int, default=1024, help="of the images, in pixels")
    parser.add_argument("--image_size", type=int, default=256, help="at which they are scored")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--weights", default="procedural", help="of the teacher, a ResNet-18")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder / "parts" / "part" / "good", NUM_TRAIN, args.side)
        draw(folder / "images", min(args.num_images, NUM_DRAWN), args.side)
        for index in range(NUM_DRAWN, args.num_images):
            source = folder / "images" / f"{index % NUM_DRAWN:05}.png"
            os.link(source, folder / "images" / f"{index:05}.png")
        width = ["--config.teacher.stem_width=32"] if args.weights == "procedural" else []
        rdvar(
            "train",
            *("--config", "configs/mvtec_resnet18.py:part", "--workdir", folder / "run"),
            f"--config.data.root={folder / 'parts'}",
            f"--config.data.image_size={args.image_size}",
            f"--config.teacher.weights={args.weights}",
            f"--config.score.batch_size={args.batch_size}",
            "--config.train.epochs=1",
            *width,
        )
        started = time.monotonic()
        peak = rdvar(
            *("predict", "--workdir", folder / "run", "--input", folder / "images"),
            *("--output", folder / "out", "--threshold", "0.5", "--save_masks"),
        )
        seconds = time.monotonic() - started
        num_rows = len((folder / "out" / "scores.jsonl").read_text().splitlines())
    print(
        f"{num_rows} images of {args.side} x {args.side}, scored at {args.image_size} in batches "
        f"of {args.batch_size}: peak {peak / 2**20:.2f} GiB, {seconds:.0f} s"
    )


def draw(folder: Path, number: int, side: int) -> None:
    """Smooth surfaces with noise, which PNG does not pack well, as in photographs."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(number)
    for index in range(number):
        coarse = Image.fromarray(rng.integers(60, 200, (16, 16, 3), np.uint8))
        smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), np.int16)
        noisy = smooth + rng.integers(-6, 7, smooth.shape, np.int16)
        pixels = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
        pixels.save(folder / f"{index:05}.png", compress_level=1)


def rdvar(*words: object) -> int:
    """Runs a command in a process of its own and gives its peak of resident memory in KiB.

    Ends with its exit code where it fails.
    """
    process = subprocess.Popen([sys.executable, "-m", "rdvar_jax", *map(str, words)])
    _, status, usage = os.wait4(process.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code != 0:
        sys.exit(code)
    return usage.ru_maxrss


if __name__ == "__main__":
    main()
