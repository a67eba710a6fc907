"""Statistics of a set's files: each image and mask is decoded once, in threads."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from rdvar_jax.data.loading.threads import in_threads
from rdvar_jax.data.pixels.decode import (
    FileFacts,
    load_mask,
    mask_files,
    mask_limit,
    shrink_mask,
)
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.image_file import as_8_bit, load_image
from rdvar_jax.data.sets.records import ImageRecord
from rdvar_jax.errors import DataError

_KINDS_OF_PIXELS = {
    "1": "1 bit",
    "L": "grey",
    "LA": "grey with alpha",
    "P": "palette",
    "PA": "palette with alpha",
    "RGB": "RGB",
    "RGBA": "RGB with alpha",
    "CMYK": "CMYK",
    "YCbCr": "YCbCr",
}  # all other readable modes are grey of 16 bits


@dataclass(frozen=True)
class Thumbnail:
    """An image scaled down, with its aspect ratio."""

    pixels: np.ndarray  # uint8 [H, W, 3]
    mask: np.ndarray | None  # bool [H, W], True where any mask pixel is set; None without a mask


@dataclass(frozen=True)
class ImageStats:
    """Statistics of one image and its mask; of an unreadable file only `problem` is known."""

    record: ImageRecord
    problem: str | None = None  # why the image or its mask cannot be used
    size_wh: tuple[int, int] | None = None
    facts: FileFacts | None = None
    pixels: str = ""  # "grey", "RGB", ...
    digest: bytes = b""  # of the decoded pixels at their own size
    has_empty_mask: bool = False  # once resized or cropped
    thumbnail: Thumbnail | None = None


def examine(
    record: ImageRecord, geometry: Geometry, threshold: str, thumbnail_side: int | None = None
) -> ImageStats:
    """Decodes an image and its mask, and describes them.

    Args:
        record: the image.
        geometry: how files are read, and the size of the mask for `has_empty_mask`.
        threshold: as for `decode_mask`.
        thumbnail_side: the longer side of a thumbnail; None makes none.
    """
    try:
        image = load_image(record.path, geometry.reading)
        kind = _KINDS_OF_PIXELS.get(image.mode, "grey of 16 bits")
        image, levels = as_8_bit(image, record.path, "RGB", reading=geometry.reading)
    except DataError as error:
        return ImageStats(record, problem=str(error))
    # Of decoded pixels: a copy saved with another compression is a copy too.
    digest = hashlib.sha256(repr(image.size).encode() + image.tobytes()).digest()
    problem, empty, marked = None, False, None
    side = thumbnail_side
    small = None if side is None else ImageOps.contain(image, (side, side))
    if record.mask_path is not None:
        try:
            masks = [
                load_mask(
                    path,
                    image.size,
                    image_path=record.path,
                    nonzero=record.mask_nonzero,
                    reading=geometry.reading,
                )
                for path in mask_files(record)
            ]
        except DataError as error:
            problem = str(error)
        else:
            empty = not any(shrink_mask(mask, geometry, threshold).any() for mask in masks)
            if small is not None:
                marked = _any_marked(masks, small.size, mask_limit(threshold))
    thumbnail = None if small is None else Thumbnail(np.array(small), marked)
    facts = FileFacts(image.size, levels)
    return ImageStats(record, problem, image.size, facts, kind, digest, empty, thumbnail)


def examine_all(
    records: Sequence[ImageRecord],
    geometry: Geometry,
    threshold: str,
    thumbnail_side: Callable[[int], int | None],
    *,
    progress: bool = True,
) -> list[ImageStats]:
    """Examines all records, in their order; `thumbnail_side` is a function of the index."""

    def work(index: int) -> ImageStats:
        return examine(records[index], geometry, threshold, thumbnail_side(index))

    found = in_threads(work, range(len(records)), "Reading images", None, progress)
    return list(found.values())


def _any_marked(masks: Sequence[Image.Image], size_wh: tuple[int, int], limit: int) -> np.ndarray:
    """Marks where any mask is above `limit`, at another size; the smallest defect survives."""
    marked = np.zeros(size_wh[::-1], np.bool_)
    for mask in masks:
        binary = Image.fromarray((np.array(mask) > limit).astype(np.float32))
        marked |= np.array(binary.resize(size_wh, Image.Resampling.BOX)) > 0
    return marked
