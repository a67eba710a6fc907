"""Exact localisation metrics against RD4AD's procedure, on the same maps and masks.

As many images as MVTec AD's bottle has: 83, of which 63 are defective. The masks are those below a
folder `ground_truth` of the data that is given, else discs. The maps are smooth noise that is
higher at the defects.
"""

# ruff: noqa: E402

import math
import time

STARTED = time.perf_counter()

from pathlib import Path
from typing import Any

import numpy as np
from rd4ad_metrics import mean_pro, pixel_auroc
from scipy import ndimage
from serve import Call, Settings, read_settings, serve

from rdvar_jax.data.pixels.decode import decode_mask
from rdvar_jax.scoring.metrics import aupro, auroc, pixel_metrics

TWO, ALL, SLOW = "auroc, aupro: exact", "all pixel metrics: exact", "auroc, pro: RD4AD's way"


def main(settings: Settings) -> None:
    num_defective = max(1, settings.batch * 63 // 83)
    files = mask_files(settings.data)
    if files:
        masks = read_masks(files, num_defective, settings.image_size)
    else:
        masks = disc_masks(num_defective, settings.image_size)
    good = np.zeros((settings.batch - num_defective, *masks.shape[1:]), bool)
    masks = np.concatenate([masks, good])
    maps = make_maps(masks)

    def fast() -> dict[str, Any]:
        return {"auroc": auroc(maps, masks), "aupro": aupro(maps, masks)}

    def slow():
        return {"auroc": pixel_auroc(maps, masks), "pro": mean_pro(maps, masks)}

    def compared():  # and warmed up
        exact, theirs = fast(), slow()
        return {
            "masks": f"{len(files)} files" if files else "generated discs",
            "exact": exact,
            "rd4ad": theirs,
            "aurocs_equal": math.isclose(exact["auroc"], theirs["auroc"], rel_tol=0, abs_tol=1e-12),
            "all_exact": pixel_metrics(maps, masks),
        }

    calls = {
        TWO: Call(fast, len(maps)),
        ALL: Call(lambda: pixel_metrics(maps, masks), len(maps)),
        SLOW: Call(slow, len(maps)),
    }
    pairs = [(TWO, SLOW), (ALL, SLOW)]
    serve(calls, STARTED, settings, pairs=pairs, warm_up=False, facts=compared)


def mask_files(data: str | None) -> list[Path]:
    """All files below a folder named `ground_truth`, sorted."""
    if data is None:
        return []
    return sorted(path for path in Path(data).rglob("*.png") if "ground_truth" in path.parts)


def read_masks(files: list[Path], number: int, size: int) -> np.ndarray:
    """Masks [number, size, size] of files at even distances, some of them twice where few."""
    chosen = [files[i * len(files) // number] for i in range(number)]
    masks = np.stack([decode_mask(path, size, None, "any") for path in chosen])
    return masks[masks.any(axis=(1, 2)) & ~masks.all(axis=(1, 2))]


def disc_masks(number: int, size: int) -> np.ndarray:
    """Masks [number, size, size] of one to three discs each."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:size, :size]
    masks = np.zeros((number, size, size), bool)
    for mask in masks:
        for _ in range(rng.integers(1, 4)):
            row, column = rng.uniform(0, size, 2)
            radius = rng.uniform(0.02, 0.12) * size
            mask |= np.hypot(rows - row, columns - column) <= max(radius, 1)
        mask[0, 0] = False
    return masks


def make_maps(masks: np.ndarray) -> np.ndarray:
    """Maps float32 like the masks: smooth noise, and more at the defects."""
    rng = np.random.default_rng(1)
    smooth = [0, 4, 4]
    noise = ndimage.gaussian_filter(rng.standard_normal(masks.shape), smooth)
    signal = ndimage.gaussian_filter(masks.astype(float), smooth)
    return (noise / noise.std() + 5 * signal).astype(np.float32)


if __name__ == "__main__":
    main(read_settings())
