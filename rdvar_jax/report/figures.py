"""Panels of image, mask and heat map, as in Fig. 3 of the RDVar paper, worst errors first.

All images of a set share one colour scale, so that their heat maps can be compared (`scale.py`).
"""

import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, PngImagePlugin

from rdvar_jax.errors import UserError
from rdvar_jax.files.replacing import replacing
from rdvar_jax.report.image_set import Images
from rdvar_jax.report.lettering import printable
from rdvar_jax.report.panels import SHEET_COLUMNS, Example, draw_panel, draw_sheet
from rdvar_jax.report.scale import color_scale

OWN_MARK = b"rdvar_jax figures"  # in the header of each file; files without it are not removed
OWN_NAME = re.compile(r"(\d{3,}_.*|worst|overview)\.png")
_SAVED_TOGETHER = 16  # pictures in memory at once


def save_figures(
    folder: str | os.PathLike[str],
    images: Images,
    masks: np.ndarray | None,
    maps: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray | None,
    names: Sequence[str],
    max_figures: int | None = None,
    scale: tuple[float, float] | None = None,
    checkpoint_sha256: str = "",
) -> list[Path]:
    """Draws a test set: one PNG for each of the worst images, and two sheets.

    - `000_<defect>_<stem>.png`, `001_...`: image, mask and heat map of one image with the mask's
      outline, worst error first. The error of an image is the fraction of the other class that its
      score ranks on the wrong side, ties counting half; equal errors are ordered by the margin to
      the other class's most extreme score, smallest first. With one class only: highest score
      first for good images, lowest first for defective ones.
    - `worst.png`: the first six of that order side by side.
    - `overview.png`: for each kind of defect, and for good images, the one with the median score
      (the lower one of two).

    PNGs of an earlier call are removed from the folder; other files are kept, unless they have one
    of the names above.

    Args:
        folder: created if missing.
        images: uint8 [N, H, W, 3].
        masks: bool [N, H, W], true where defective; None draws no masks.
        maps: float [N, H, W], raw anomaly maps, finite.
        scores: float [N], raw image scores, finite, higher is more anomalous.
        labels: bool or 0/1 [N], true for a defective image; None if unknown: highest score first.
        names: N names such as `scratch/003.png`. The last folder is the kind of defect; without
            one the kind is `good` or `defective`.
        max_figures: number of single images to draw, None for all; the sheets are always drawn.
        scale: the raw map values of no heat and of full heat; None for `color_scale(maps)`.
        checkpoint_sha256: of the state that made the maps; written into each PNG.

    Returns:
        The files written: single images, worst first, then `worst.png` and `overview.png`; none
        for an empty set.

    Raises:
        UserError: the folder cannot be created or written to.
        ValueError: shapes differ, maps or scores hold nan or infinity, or max_figures is negative.
    """
    maps, is_labelled = np.asarray(maps), labels is not None
    masks = None if masks is None else np.asarray(masks, dtype=bool)
    scores = np.asarray(scores, dtype=np.float64)
    labels = np.zeros(len(scores), bool) if labels is None else np.asarray(labels, dtype=bool)
    _check(images, masks, maps, scores, labels, names)
    if max_figures is not None and max_figures < 0:
        raise ValueError(f"max_figures must not be negative, it is {max_figures}")
    folder = Path(folder)
    _prepare(folder)
    if len(images) == 0:
        return []
    error, order = worst_first(scores, labels)
    rank = 1 + len(scores) - np.searchsorted(np.sort(scores), scores, side="right")
    kinds = [_kind(name, label) for name, label in zip(names, labels, strict=True)]

    def example(i: int) -> Example:
        return Example(
            image=images[i],
            mask=None if masks is None else masks[i],
            anomaly_map=maps[i],
            name=printable(names[i]),
            kind=printable(kinds[i]),
            defective=bool(labels[i]) if is_labelled else None,
            score=f"{scores[i]:.4g}",
            remarks=[
                f"rank {rank[i]} of {len(scores)} (1 = most anomalous)",
                *_describe_error(error[i], labels[i], bool(labels.any() and not labels.all())),
            ],
        )

    scale = scale or color_scale(maps)
    shown = [int(i) for i in order[:max_figures]]
    digits = max(3, len(str(len(shown) - 1)))

    def drawn() -> Iterator[tuple[Image.Image, Path]]:
        for place, i in enumerate(shown):
            stem = PurePosixPath(names[i].replace("\\", "/")).stem
            file_name = f"{place:0{digits}d}_{_safe(kinds[i])}_{_safe(stem)}.png"
            yield draw_panel(example(i), scale), folder / file_name
        worst = [example(i) for i in order[:SHEET_COLUMNS].tolist()]
        yield draw_sheet("Worst ranked images first", worst, scale), folder / "worst.png"
        typical = [example(i) for i in _median_of_kinds(kinds, scores, labels)]
        sheet = draw_sheet("Typical: the median score of each kind", typical, scale)
        yield sheet, folder / "overview.png"

    def save(canvas_and_path: tuple[Image.Image, Path]) -> Path:
        return _save(*canvas_and_path, checkpoint_sha256)

    written, pictures = list[Path](), drawn()
    # In threads, because compressing and syncing a picture takes longer than drawing it.
    with ThreadPoolExecutor() as executor:
        while some := list(islice(pictures, _SAVED_TOGETHER)):
            written += executor.map(save, some)
    return written


def worst_first(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the error of each score, and the order that `save_figures` describes.

    Args:
        scores: float64 [N].
        labels: bool [N].

    Returns:
        The error of each image, float64 [N] in 0..1 (0 if there is only one class), and the
        images' positions from worst to best, int64 [N].
    """
    # Higher is worse: scores of defective images are negated.
    badness = np.where(labels, -scores, scores)
    error, margin = np.zeros(len(scores)), -badness
    for label in (False, True):
        own, others = labels == label, np.sort(-badness[labels != label])
        if len(others):
            below = np.searchsorted(others, badness[own], side="left")
            up_to = np.searchsorted(others, badness[own], side="right")
            error[own] = (below + up_to) / (2 * len(others))
            margin[own] = others[0] - badness[own]
    return error, np.lexsort((margin, -error))


def _check(
    images: Images,
    masks: np.ndarray | None,
    maps: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
) -> None:
    count = len(images)
    if images.dtype != np.uint8 or len(images.shape) != 4 or images.shape[3] != 3:
        raise ValueError(f"images must be uint8 [N, H, W, 3], not {images.dtype} {images.shape}")
    for name, array in (("masks", masks), ("maps", maps)):
        if array is not None and array.shape != images.shape[:3]:
            raise ValueError(f"{name} {array.shape} must be {images.shape[:3]}")
    if scores.shape != (count,) or labels.shape != (count,) or len(names) != count:
        raise ValueError(f"{count} images need as many scores, labels and names")
    if not (np.isfinite(maps).all() and np.isfinite(scores).all()):
        raise ValueError("maps and scores must be finite, but some are nan or infinite")


def _kind(name: str, label: bool) -> str:
    folders = PurePosixPath(name.replace("\\", "/")).parent.name
    return folders or ("defective" if label else "good")


def _median_of_kinds(kinds: list[str], scores: np.ndarray, labels: np.ndarray) -> list[int]:
    """Returns the image with the (lower) median score of each kind: good first, then by name."""
    chosen = []
    for label, kind in sorted(
        {(bool(label), kind) for label, kind in zip(labels, kinds, strict=True)}
    ):
        members = [i for i in range(len(kinds)) if (bool(labels[i]), kinds[i]) == (label, kind)]
        members.sort(key=lambda i: scores[i])
        chosen.append(members[(len(members) - 1) // 2])
    return chosen


def _describe_error(error: float, defective: bool, both_classes: bool) -> list[str]:
    if not both_classes:
        return []
    other = "good" if defective else "defective"
    if error in (0, 1):
        return [f"{'above' if defective == (error == 0) else 'below'} all {other} images"]
    side = "below" if defective else "above"
    return [f"{side} {100 * error:.3g} % of {other} images"]


def _safe(text: str) -> str:
    """Returns a part of a file name that is valid on every file system."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[:60].strip("-.") or "unnamed"


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("*.png"):
            if is_own_figure(path):
                path.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from error


def is_own_figure(path: Path) -> bool:
    """Returns whether `save_figures` wrote a file, by its name and the mark in it."""
    if not OWN_NAME.fullmatch(path.name) or not path.is_file():
        return False
    with path.open("rb") as file:
        return OWN_MARK in file.read(128)


def _save(canvas: Image.Image, path: Path, checkpoint_sha256: str) -> Path:
    """Writes a picture with the mark that allows a later call to remove it."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Software", OWN_MARK.decode())
    if checkpoint_sha256:
        info.add_text("checkpoint_sha256", checkpoint_sha256)
    try:
        with replacing(path) as temporary:
            canvas.save(temporary, format="PNG", pnginfo=info)
    except OSError as error:
        raise _unwritable(path.parent, error) from error
    return path


def _unwritable(folder: Path, error: OSError) -> UserError:
    reason = error.strerror or str(error)
    return UserError(f"cannot write figures to {folder} ({reason}); choose a writable folder")
