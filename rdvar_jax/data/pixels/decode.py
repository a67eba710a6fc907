"""Decodes images to uint8 arrays and masks to boolean ones; every failure is a DataError.

Images become RGB, masks grey, both resized to H x W by `geometry.py`; a `size` that is a number S
stretches them to S x S, as RD4AD does. Scaling to 0-1 and the ImageNet statistics follow later, on
the device.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from rdvar_jax.data.loading.threads import in_threads
from rdvar_jax.data.pixels.geometry import Geometry, Size, as_geometry
from rdvar_jax.data.pixels.image_file import image_dimensions, load_image, read_8_bit
from rdvar_jax.data.pixels.kept_pictures import KeptPictures
from rdvar_jax.data.pixels.levels import Levels
from rdvar_jax.data.pixels.mask_file import load_mask
from rdvar_jax.data.pixels.mask_rule import MaskThreshold, apply_threshold, mask_limit
from rdvar_jax.data.pixels.reading import Reading
from rdvar_jax.data.sets.listing import images_in
from rdvar_jax.data.sets.records import HasPath, ImageFile, ImageRecord
from rdvar_jax.errors import DataError

_logger = logging.getLogger("rdvar_jax")

_MAX_SIZES_SHOWN = 8
_DEFAULT = Reading()


class FileFacts(NamedTuple):
    """What is known of a file once it is decoded."""

    size_wh: tuple[int, int]  # upright
    levels: Levels | None  # of a file of more than 8 bits


def decode_image(path: ImageFile, size: Size) -> np.ndarray:
    """Decodes one image to RGB, uint8 [H, W, 3].

    Reads PNG, JPEG, BMP, TIFF and WebP, and AVIF and HEIC where they have a reader
    (`image_formats.py`); grey, 1-bit, palette, RGB, CMYK, with or without alpha (dropped), 8 or 16
    bits. Grey of more than 8 bits is scaled by `Reading.full_scale` and rounded, where Pillow's own
    conversion would clip it to white; of 16-bit colour Pillow returns the high byte, and AVIF and
    HEIC of 10 or 12 bits are brought to 8 by their reader. EXIF orientation is applied.
    Files of several pages are refused: taking the first would be a silent guess. So are layouts of
    TIFF that Pillow is not known to read right (`tiff_layout.py`).

    Raises:
        DataError: the file cannot be read as an image; the message says why.
    """
    return decode_file(path, as_geometry(size))[0]


def decode_original(path: ImageFile, reading: Reading = _DEFAULT) -> np.ndarray:
    """Decodes one image at its own size, upright, to RGB, uint8 [H, W, 3]; see `decode_image`.

    Raises:
        DataError: the file cannot be read as an image; the message says why.
    """
    return np.array(read_8_bit(load_image(path, reading), path, "RGB", reading)[0])


def decode_mask(
    path: ImageFile,
    size: Size,
    image_size_wh: tuple[int, int] | None,
    threshold: MaskThreshold = "half",
    *,
    image_path: ImageFile | None = None,
    nonzero: bool = False,
    orientation: str = "own",
) -> np.ndarray:
    """Decodes one ground-truth mask to bool [H, W], True where defective.

    The mask is resized like its image and then binarised (RD4AD); see `mask_rule.py`.

    Args:
        path: The mask's file.
        size: S, (H, W) or a Geometry.
        image_size_wh: Width and height of its image, from `image_dimensions`, to compare with;
            None skips the comparison.
        threshold: "half", "any", or the lowest defective value, 1 to 255.
        image_path: The image's file, named in an error.
        nonzero: Every value above 0 counts as the full value, before the resize.
        orientation: "own", "image" or "upright": by which EXIF orientation it is turned.

    Raises:
        DataError: the file cannot be read, or its width and height are not the image's.
        ValueError: `threshold` is unknown.
    """
    geometry = as_geometry(size)
    mask = load_mask(
        path,
        image_size_wh,
        image_path=image_path,
        orientation=orientation,
        reading=geometry.reading,
    )
    return shrink_mask(apply_threshold(mask, threshold, nonzero), geometry, threshold)


def shrink_mask(mask: Image.Image, geometry: Geometry, threshold: MaskThreshold) -> np.ndarray:
    """Resizes the result of `apply_threshold` to H x W, then binarises it: bool [H, W]."""
    return geometry.apply_mask(mask) > mask_limit(threshold)


def decode_images(
    records: Sequence[HasPath],
    size: Size,
    *,
    num_workers: int | None = None,
    progress: bool = True,
    allow_mixed_sizes: bool = False,
    failures: dict[int, DataError] | None = None,
    facts: dict[int, FileFacts] | None = None,
) -> np.ndarray:
    """Decodes all images of `records` in order to uint8 [N, H, W, 3], each once.

    Args:
        records: The images.
        size: S, (H, W) or a Geometry.
        num_workers: Threads; None for one per usable CPU.
        progress: Show a progress bar, if standard error is a terminal.
        allow_mixed_sizes: Accept files of different widths and heights.
        failures: Collects the error of each unreadable image by index, instead of raising; the
            result is undefined there.
        facts: Collects those of each readable image by index.

    Raises:
        DataError: an image cannot be read (the first is reported), or the files' sizes differ and
            `allow_mixed_sizes` is not set.
    """
    geometry = as_geometry(size)
    images, found = decode_block(
        records, geometry, num_workers=num_workers, progress=progress, failures=failures
    )
    if not allow_mixed_sizes:
        sizes_wh = [one.size_wh for one in found.values()]
        check_one_size([records[index] for index in found], sizes_wh, geometry)
    if facts is not None:
        facts.update(found)
    return images


def decode_block(
    records: Sequence[HasPath],
    geometry: Geometry,
    *,
    num_workers: int | None = None,
    progress: bool = False,
    failures: dict[int, DataError] | None = None,
) -> tuple[np.ndarray, dict[int, FileFacts]]:
    """Decodes like `decode_images`; also returns each file's facts. Sizes are not compared."""
    images = np.empty((len(records), geometry.height, geometry.width, 3), np.uint8)

    def decode(index: int) -> FileFacts:
        pixels, facts = decode_file(records[index].path, geometry)
        if pixels.shape == images.shape[1:]:  # else `check_one_size` says so
            images[index] = pixels
        return facts

    indices = range(len(records))
    return images, in_threads(decode, indices, "Decoding images", num_workers, progress, failures)


def decode_masks(
    records: Sequence[ImageRecord],
    size: Size,
    *,
    threshold: MaskThreshold = "half",
    orientation: str = "own",
    warn_empty: bool = True,
    num_workers: int | None = None,
    progress: bool = True,
    failures: dict[int, DataError] | None = None,
) -> np.ndarray:
    """Decodes the masks of `records` in order to bool [N, H, W]; all False where there is none.

    Where a record's mask is a folder, its files are parts of one mask.

    A mask that is empty after the resize or crop is named in a warning, unless `warn_empty` is
    not set: its image still counts as defective, but none of its pixels does.

    With `failures`, the records in it are skipped, and it collects the error of each unusable mask
    by its record's index, instead of raising.

    Raises:
        DataError: a mask cannot be read or differs in size from its image; the first is reported.
    """
    geometry = as_geometry(size)
    masks = np.zeros((len(records), geometry.height, geometry.width), np.bool_)
    masked = [
        index
        for index, record in enumerate(records)
        if record.mask_path is not None and index not in (failures or {})
    ]

    def decode(index: int) -> None:
        record = records[index]
        image_size_wh = image_dimensions(record.path, geometry.reading)
        for path in mask_files(record):
            masks[index] |= decode_mask(
                path,
                geometry,
                image_size_wh,
                threshold,
                image_path=record.path,
                nonzero=record.mask_nonzero,
                orientation=orientation,
            )

    read = in_threads(decode, masked, "Decoding masks", num_workers, progress, failures)
    for index in read:
        if warn_empty and not masks[index].any():
            _logger.warning(
                "The mask %s is empty once it is resized to %s and thresholded (%s): its image "
                "counts as defective, but none of its pixels does.",
                records[index].mask_path,
                geometry,
                threshold,
            )
    return masks


def mask_files(record: ImageRecord) -> Sequence[ImageFile]:
    """Returns the files of a record's mask: none, one, or those of its folder.

    Raises:
        DataError: the folder holds none.
    """
    path = record.mask_path
    if path is None:
        return []
    files = images_in(path) if isinstance(path, Path) and path.is_dir() else [path]
    if not files:
        raise DataError(f"The folder {path} holds no mask; add the masks of {record.path}.")
    return files


def decode_file(
    path: ImageFile, geometry: Geometry, kept: KeptPictures | None = None
) -> tuple[np.ndarray, FileFacts]:
    """Decodes like `decode_image`; also returns the file's facts.

    `kept` gets the picture that `decode_original` returns.
    """
    image = load_image(path, geometry.reading)
    size_wh = image.size
    image, levels = read_8_bit(image, path, "RGB", geometry.reading)
    if kept is not None and isinstance(path, Path):
        kept.put(path, image)
    return geometry.apply_image(image), FileFacts(size_wh, levels)


def check_one_size(
    records: Sequence[HasPath], sizes_wh: Sequence[tuple[int, int]], geometry: Geometry
) -> None:
    """Raises a DataError that counts the files' sizes, if they differ."""
    examples: dict[tuple[int, int], list[ImageFile]] = {}
    for record, size_wh in zip(records, sizes_wh, strict=True):
        examples.setdefault(size_wh, []).append(record.path)
    if len(examples) <= 1:
        return
    by_count = sorted(examples.items(), key=lambda item: (-len(item[1]), item[0]))
    parts = [f"{_by(wh)} (count {len(paths)}, such as {paths[0]})" for wh, paths in by_count]
    if len(parts) > _MAX_SIZES_SHOWN:
        parts[_MAX_SIZES_SHOWN:] = [f"{len(parts) - _MAX_SIZES_SHOWN} other sizes"]
    problem = f"The images have different pixel sizes: {', '.join(parts)}; make them equal, or set"
    if geometry.is_tiled:
        raise DataError(f"{problem} another data.geometry than tile, which does not resize.")
    word = {"squash": "stretched to", "crop": "cropped to", "pad": "padded to"}[geometry.mode]
    raise DataError(f"{problem} data.allow_mixed_sizes=True to have each {word} {geometry}.")


def _by(size_wh: tuple[int, int]) -> str:
    return f"{size_wh[0]}x{size_wh[1]}"
