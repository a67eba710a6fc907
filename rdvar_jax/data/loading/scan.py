"""Statistics of a set's files: each image and mask is decoded once, in threads."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageOps

from rdvar_jax.data.loading.threads import in_threads
from rdvar_jax.data.pixels.decode import FileFacts, mask_files, shrink_mask
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.image_file import SIDEWAYS_ORIENTATIONS, load_turned, read_8_bit
from rdvar_jax.data.pixels.mask_file import MaskFile, load_mask
from rdvar_jax.data.pixels.mask_rule import MaskThreshold, apply_threshold, mask_limit
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
    marked: int | None = None  # pixels of the mask that are defective, at its own size
    # EXIF orientations of image and mask, where they differ and equal sizes hide it.
    turned_apart: tuple[int, int] | None = None
    thumbnail: Thumbnail | None = None


def examine(
    record: ImageRecord,
    geometry: Geometry,
    threshold: MaskThreshold,
    thumbnail_side: int | None = None,
    *,
    orientation: str = "own",
) -> ImageStats:
    """Decodes an image and its mask, and describes them.

    Args:
        record: the image.
        geometry: how files are read, and the size of the mask for `has_empty_mask`.
        threshold: as for `decode_mask`.
        thumbnail_side: the longer side of a thumbnail; None makes none.
        orientation: as for `decode_mask`.
    """
    try:
        image, turn = load_turned(record.path, reading=geometry.reading)
        kind = _KINDS_OF_PIXELS.get(image.mode, "grey of 16 bits")
        image, levels = read_8_bit(image, record.path, "RGB", geometry.reading)
    except DataError as error:
        return ImageStats(record, problem=str(error))
    # Of decoded pixels: a copy saved with another compression is a copy too.
    digest = hashlib.sha256(repr(image.size).encode() + image.tobytes()).digest()
    side = thumbnail_side
    small = None if side is None else ImageOps.contain(image, (side, side))
    stats = ImageStats(
        record,
        size_wh=image.size,
        facts=FileFacts(image.size, levels),
        pixels=kind,
        digest=digest,
        thumbnail=None if small is None else Thumbnail(np.array(small), None),
    )
    if record.mask_path is None:
        return stats
    try:
        files = [
            load_mask(
                path,
                image.size,
                image_path=record.path,
                orientation=orientation,
                reading=geometry.reading,
            )
            for path in mask_files(record)
        ]
    except DataError as error:
        return replace(stats, problem=str(error))
    masks = [apply_threshold(file, threshold, record.mask_nonzero) for file in files]
    limit = mask_limit(threshold)
    if small is not None:
        marked = _any_marked(masks, small.size, limit)
        stats = replace(stats, thumbnail=Thumbnail(np.array(small), marked))
    apart = [(turn, file.orientation) for file in files if _hides(turn, file, image.size)]
    return replace(
        stats,
        has_empty_mask=not any(shrink_mask(mask, geometry, threshold).any() for mask in masks),
        marked=int(np.any([np.asarray(mask) > limit for mask in masks], axis=0).sum()),
        turned_apart=apart[0] if apart and orientation == "own" else None,
    )


def _hides(turn: int, mask: MaskFile, size_wh: tuple[int, int]) -> bool:
    """Whether image and mask have different orientations, and their equal sizes hide it."""
    if turn == mask.orientation:
        return False
    sideways = [one in SIDEWAYS_ORIENTATIONS for one in (turn, mask.orientation)]
    return size_wh[0] == size_wh[1] or sideways[0] == sideways[1]


def examine_all(
    records: Sequence[ImageRecord],
    geometry: Geometry,
    threshold: MaskThreshold,
    thumbnail_side: Callable[[int], int | None],
    *,
    orientation: str = "own",
    progress: bool = True,
) -> list[ImageStats]:
    """Examines all records, in their order; `thumbnail_side` is a function of the index."""

    def work(index: int) -> ImageStats:
        side = thumbnail_side(index)
        return examine(records[index], geometry, threshold, side, orientation=orientation)

    found = in_threads(work, range(len(records)), "Reading images", None, progress)
    return list(found.values())


def _any_marked(masks: Sequence[Image.Image], size_wh: tuple[int, int], limit: int) -> np.ndarray:
    """Marks where any mask is above `limit`, at another size; the smallest defect survives."""
    marked = np.zeros(size_wh[::-1], np.bool_)
    for mask in masks:
        binary = Image.fromarray((np.array(mask) > limit).astype(np.float32))
        marked |= np.array(binary.resize(size_wh, Image.Resampling.BOX)) > 0
    return marked
