"""Decoding image files: this library's threads against Pillow alone, in one and in two processes.

The files are those below the folder that is given, without masks, else generated PNG files of four
times the size to which they are decoded: 1024 x 1024 for 256. All give the same pixels: RGB, and
Pillow's bilinear resize.
"""

# ruff: noqa: E402

import time

STARTED = time.perf_counter()

import multiprocessing
import os
import tempfile
from pathlib import Path

import numpy as np
import psutil
from PIL import Image
from serve import Call, Settings, read_settings, serve

from rdvar_jax.data.pixels.decode import decode_images
from rdvar_jax.data.sets.inputs import InputImage, find_inputs

OURS, LOOP = "decode: this library", "decode: loop with Pillow"
POOL = "decode: Pillow in two processes"
WORKERS = 2


def main(settings: Settings) -> None:
    size = settings.image_size
    # Spawned: workers that start with what is needed, without this process's threads.
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, spawn.Pool(WORKERS) as pool:
        if settings.data is None:
            write_images(Path(folder), settings.batch, 4 * size)
        images = find_images(Path(settings.data or folder), settings.batch)

        def ours():
            return decode_images(images, size, progress=False, allow_mixed_sizes=True)

        def loop():
            return np.stack([decode_one(image.path, size) for image in images])

        def processes():
            paths = [(image.path, size) for image in images]
            return np.stack(pool.starmap(decode_one, paths, chunksize=1))

        def facts():
            suffixes = [image.path.suffix for image in images]
            return {
                "files": {suffix: suffixes.count(suffix) for suffix in sorted(set(suffixes))},
                "megabytes": sum(image.path.stat().st_size for image in images) / 1e6,
                "first_size": Image.open(images[0].path).size,
                "threads": len(os.sched_getaffinity(0)),
                "pixels_equal": bool(
                    np.array_equal(ours(), loop()) and np.array_equal(ours(), processes())
                ),
            }

        calls = {
            OURS: Call(ours, len(images)),
            LOOP: Call(loop, len(images)),
            POOL: Call(processes, len(images), cpu_clock=cpu_seconds_with_children),
        }
        serve(calls, STARTED, settings, pairs=[(OURS, LOOP), (OURS, POOL)], facts=facts)


def cpu_seconds_with_children() -> float:
    """CPU seconds of this process and of its workers."""
    times = [psutil.Process(child.pid).cpu_times() for child in multiprocessing.active_children()]
    return time.process_time() + sum(one.user + one.system for one in times)


def find_images(folder: Path, number: int) -> list[InputImage]:
    """At most `number` images of the folder, at even distances."""
    images = [image for image in find_inputs([folder]) if "ground_truth" not in image.path.parts]
    return [images[i * len(images) // number] for i in range(min(number, len(images)))]


def decode_one(path: Path, size: int) -> np.ndarray:
    """One image as RGB, uint8 [size, size, 3], resized as this library does it."""
    with Image.open(path) as image:
        rgb = image.convert("RGB")
        return np.asarray(rgb.resize((size, size), Image.Resampling.BILINEAR))


def write_images(folder: Path, number: int, side: int) -> None:
    """Writes smooth pictures with a camera's noise as PNG."""
    rng = np.random.default_rng(0)
    for i in range(number):
        coarse = Image.fromarray(rng.integers(40, 216, (9, 9, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))
        pixels = smooth + rng.normal(0, 3, (side, side, 3))
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{i:03}.png")


if __name__ == "__main__":
    main(read_settings())
