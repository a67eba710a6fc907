"""Image files become uint8 arrays and masks become boolean ones; every failure is a DataError.

Images become RGB, masks grey, both of H x W pixels as `geometry.py` says; a `size` that is a number
S stretches them to S x S, as RD4AD does. Scaling to 0-1 and the ImageNet statistics come later, on
the device.
"""

import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from rdvar_jax.data.geometry import Geometry, Size, as_geometry
from rdvar_jax.data.listing import images_in
from rdvar_jax.data.records import HasPath, ImageRecord
from rdvar_jax.errors import DataError

_Result = TypeVar("_Result")

_logger = logging.getLogger("rdvar_jax")

# Only these: Pillow otherwise tries some forty formats on a file, whatever its suffix, and runs
# Ghostscript for one of them.
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
_EIGHT_BIT_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
_GREY_16_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_ORIENTATIONS_ON_THE_SIDE = (5, 6, 7, 8)  # EXIF: width and height change places
_MAX_SIZES_SHOWN = 8


def decode_image(path: Path, size: Size) -> np.ndarray:
    """One image as RGB, uint8 [H, W, 3].

    PNG, JPEG, BMP and TIFF; grey, 1-bit, palette, RGB, CMYK, with or without alpha (dropped), 8 or
    16 bits. 16-bit grey is divided by 257 and rounded, where Pillow's own conversion would clip it
    to white; of 16-bit colour Pillow gives the high byte. EXIF orientation is applied. Several
    pages in one file are refused: the first alone would be a silent guess.

    Raises:
        DataError: the file cannot be read as such an image; the message says why.
    """
    return _decode(path, as_geometry(size), "RGB")[0]


def decode_mask(
    path: Path,
    size: Size,
    image_size_wh: tuple[int, int] | None,
    threshold: str = "half",
    *,
    image_path: Path | None = None,
    nonzero: bool = False,
) -> np.ndarray:
    """One ground-truth mask, bool [H, W], True where defective.

    The mask is resized as the image is and then binarised (RD4AD): "half" takes what is above 0.5
    of the full value, "any" what is above 0.

    Args:
        path: The mask's file.
        size: S, (H, W) or a Geometry.
        image_size_wh: Width and height of the image it belongs to, as `image_dimensions` gives
            them; None leaves the comparison out.
        threshold: "half" or "any".
        image_path: The image's file, to be named in an error.
        nonzero: Every value over 0 counts as the full value, before anything is resized.

    Raises:
        DataError: the file cannot be read, or its own width and height are not the image's.
        ValueError: there is no such threshold.
    """
    # In uint8, 127 is 0.498 of the full value and 128 is 0.502.
    limits = {"half": 127, "any": 0}
    if threshold not in limits:
        raise ValueError(f"threshold must be 'half' or 'any', not {threshold!r}")
    grey, mask_size_wh = _decode(path, as_geometry(size), "L", nonzero)
    if image_size_wh is not None and mask_size_wh != image_size_wh:
        image = "its image" if image_path is None else f"its image {image_path}"
        raise DataError(
            f"The mask {path} has {_by(mask_size_wh)} pixels but {image} has "
            f"{_by(image_size_wh)}; give both the same size."
        )
    return grey > limits[threshold]


def image_dimensions(path: Path) -> tuple[int, int]:
    """Width and height of the upright image, from the header alone where that is possible.

    It is not possible for a PNG that is not square: its EXIF block may stand behind the pixels.

    Raises:
        DataError: the file cannot be read.
    """
    with _pillow_errors(path), Image.open(path, formats=_FORMATS) as image:
        width, height = image.size
        # Pillow gives a TIFF's size upright already.
        if width == height or image.format == "TIFF":
            return width, height
        orientation = image.getexif().get(ExifTags.Base.Orientation)
        return (height, width) if orientation in _ORIENTATIONS_ON_THE_SIDE else (width, height)


def decode_images(
    records: Sequence[HasPath],
    size: Size,
    *,
    num_workers: int | None = None,
    progress: bool = True,
    allow_mixed_sizes: bool = False,
) -> np.ndarray:
    """All images of `records` in their order, uint8 [N, H, W, 3], each decoded once.

    Args:
        records: The images.
        size: S, (H, W) or a Geometry.
        num_workers: Threads; None takes one for each usable CPU.
        progress: Draw a progress bar, if standard error is a terminal.
        allow_mixed_sizes: Accept files of different widths and heights.

    Raises:
        DataError: an image cannot be read (the first such record is reported), or the files'
            sizes differ and `allow_mixed_sizes` is not set.
    """
    geometry = as_geometry(size)
    images = np.empty((len(records), geometry.height, geometry.width, 3), np.uint8)

    def decode(index: int) -> tuple[int, int]:
        images[index], size_wh = _decode(records[index].path, geometry, "RGB")
        return size_wh

    sizes_wh = _in_threads(decode, len(records), "Decoding images", num_workers, progress)
    if not allow_mixed_sizes:
        _check_one_size(records, sizes_wh, geometry)
    return images


def decode_masks(
    records: Sequence[ImageRecord],
    size: Size,
    *,
    threshold: str = "half",
    num_workers: int | None = None,
    progress: bool = True,
) -> np.ndarray:
    """The masks of `records` in their order, bool [N, H, W]; all False where there is none.

    Where a record's mask is a folder, its files are parts of one mask.

    A defect that is too small to survive the resize, or is cropped away, is named in a warning: its
    image still counts as defective, but none of its pixels does.

    Raises:
        DataError: a mask cannot be read or has another size than its image; of several the first
            record's is reported.
    """
    geometry = as_geometry(size)
    masks = np.zeros((len(records), geometry.height, geometry.width), np.bool_)
    masked = [index for index, record in enumerate(records) if record.mask_path is not None]

    def decode(position: int) -> None:
        index = masked[position]
        record = records[index]
        image_size_wh = image_dimensions(record.path)
        for path in mask_files(record):
            masks[index] |= decode_mask(
                path,
                geometry,
                image_size_wh,
                threshold,
                image_path=record.path,
                nonzero=record.mask_nonzero,
            )

    _in_threads(decode, len(masked), "Decoding masks", num_workers, progress)
    for index in masked:
        if not masks[index].any():
            _logger.warning(
                "The mask %s is empty once it is resized to %s and thresholded (%s): its image "
                "counts as defective, but none of its pixels does.",
                records[index].mask_path,
                geometry,
                threshold,
            )
    return masks


def mask_files(record: ImageRecord) -> list[Path]:
    """The files of a record's mask: none, one, or those of its folder.

    Raises:
        DataError: the folder holds none.
    """
    path = record.mask_path
    if path is None:
        return []
    files = images_in(path) if path.is_dir() else [path]
    if not files:
        raise DataError(f"The folder {path} holds no mask; add the masks of {record.path}.")
    return files


def _decode(
    path: Path, geometry: Geometry, mode: str, nonzero: bool = False
) -> tuple[np.ndarray, tuple[int, int]]:
    """Pixels in `mode` ("RGB" or "L") at H x W, and the file's own width and height."""
    image = _load(path)
    size_wh = image.size
    image = as_8_bit(image, path, mode)
    if nonzero:
        image = image.point([0] + [255] * 255)
    apply = geometry.apply_image if mode == "RGB" else geometry.apply_mask
    return apply(image), size_wh


def as_8_bit(image: Image.Image, name: Path | str, mode: str) -> Image.Image:
    """A picture with 8 bits in `mode`, "RGB" or "L"; see `decode_image` for what is done with it.

    Args:
        image: any picture; its `info` may lose a transparent colour.
        name: what it is called in an error.
        mode: of the result.

    Raises:
        DataError: its pixels have no agreed meaning as such.
    """
    if image.mode in _GREY_16_MODES:
        image = _to_8_bit(image, name)
    elif image.mode not in _EIGHT_BIT_MODES:
        # Mode F above all: floats have no agreed full value (1, 255, a physical unit?), so any
        # scaling would be a guess that changes what the network sees.
        raise DataError(
            f"{name} holds pixels of Pillow's mode {image.mode}, which have no agreed meaning as "
            "8-bit grey or colour; save it with 8 or 16 bits in grey or RGB."
        )
    # Alpha is dropped, and so is its cheaper form, a transparent colour: converting it makes
    # Pillow warn.
    image.info.pop("transparency", None)
    return image.convert(mode)


def _load(path: Path) -> Image.Image:
    """The decoded, upright image; its file is closed again."""
    with _pillow_errors(path), Image.open(path, formats=_FORMATS) as image:
        pages = getattr(image, "n_frames", 1)
        # "MPO" is a JPEG of a phone or a stereo camera: its first picture is the photograph, the
        # others are previews and gain maps.
        if pages > 1 and image.format != "MPO":
            raise DataError(
                f"{path} holds {pages} pages, and which one is meant cannot be known; save each "
                "as a file of its own."
            )
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _to_8_bit(image: Image.Image, name: Path | str) -> Image.Image:
    """Grey of 16 bits (12 in a TIFF that says so) scaled to 8: the full value becomes 255."""
    values = np.asarray(image).astype(np.int64)
    # Mode "I" has 32 bits: signed or wider files than 16 bits end there too.
    if values.min() < 0 or values.max() > 65535:
        raise DataError(
            f"{name} holds grey values from {values.min()} to {values.max()}, outside 0 to 65535; "
            "save it with 8 or 16 bits, unsigned."
        )
    bits = image.tag_v2.get(258) if isinstance(image, TiffImagePlugin.TiffImageFile) else None
    full = 4095 if bits == (12,) else 65535
    return Image.fromarray(((values * 510 + full) // (2 * full)).astype(np.uint8))


def _check_one_size(
    records: Sequence[HasPath], sizes_wh: Sequence[tuple[int, int]], geometry: Geometry
) -> None:
    examples: dict[tuple[int, int], list[Path]] = {}
    for record, size_wh in zip(records, sizes_wh, strict=True):
        examples.setdefault(size_wh, []).append(record.path)
    if len(examples) <= 1:
        return
    by_count = sorted(examples.items(), key=lambda item: (-len(item[1]), item[0]))
    parts = [f"{_by(wh)} (count {len(paths)}, such as {paths[0]})" for wh, paths in by_count]
    if len(parts) > _MAX_SIZES_SHOWN:
        parts[_MAX_SIZES_SHOWN:] = [f"{len(parts) - _MAX_SIZES_SHOWN} other sizes"]
    word = {"squash": "stretched to", "crop": "cropped to", "pad": "padded to"}[geometry.mode]
    raise DataError(
        f"The images have different pixel sizes: {', '.join(parts)}; make them equal, or set "
        f"data.allow_mixed_sizes=True to have each {word} {geometry}."
    )


def _in_threads(
    work: Callable[[int], _Result],
    count: int,
    description: str,
    num_workers: int | None,
    progress: bool,
) -> list[_Result]:
    """work(0) ... work(count - 1) in order; the first failure in that order is the one raised."""
    # Not above: a detector decodes one image at a time, where tqdm need not be installed.
    from tqdm import tqdm

    # Threads, because Pillow decodes and resizes without the GIL: on two cores two threads are
    # 1.75 times as fast as one, and more than one a core gain nothing.
    executor = ThreadPoolExecutor(num_workers if num_workers is not None else _num_usable_cpus())
    results = []
    try:
        # One entry around all threads, so that the filters are set once and not for each file.
        # disable=None is tqdm's "only on a terminal".
        with (
            _pillow_warnings(),
            tqdm(total=count, desc=description, disable=None if progress else True) as bar,
        ):
            for future in [executor.submit(work, index) for index in range(count)]:
                results.append(future.result())
                bar.update()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
    return results


def _num_usable_cpus() -> int:
    # A container or a batch system often grants fewer CPUs than the machine has; only Linux tells.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _pillow_errors(path: Path) -> Iterator[None]:
    """Turn whatever Pillow raises on a bad file into one sentence about that file."""
    try:
        with _pillow_warnings():
            yield
    except DataError:
        raise
    # Everything: the file is not to be trusted, and Pillow promises no closed set of exceptions
    # (OSError, SyntaxError, ValueError, struct.error, zlib.error and more have been seen).
    except Exception as error:
        raise DataError(_explain(path, error)) from error


def _explain(path: Path, error: Exception) -> str:
    match error:
        case FileNotFoundError():
            return f"{path} does not exist; put the file back or correct its path."
        case IsADirectoryError():
            return f"{path} is a folder where an image file is expected; remove or rename it."
        case PermissionError():
            return f"{path} cannot be read (permission denied); grant read access to it."
        case Image.DecompressionBombError() | Image.DecompressionBombWarning():
            return (
                f"{path} claims more pixels than Pillow's safety limit of {Image.MAX_IMAGE_PIXELS};"
                " make the image smaller, or remove it if it is not meant to be so large."
            )
        case UnidentifiedImageError() if path.stat().st_size == 0:
            return f"{path} is empty (0 bytes); copy it again from its source or remove it."
        case UnidentifiedImageError():
            return (
                f"{path} cannot be recognised as a PNG, JPEG, BMP or TIFF image, because it is "
                "damaged or of another kind than its name says; save it as one of these, or "
                "remove it."
            )
        case _:
            return (
                f"{path} is damaged or cannot be decoded ({error or type(error).__name__}); copy "
                "it again from its source or remove it."
            )


_filters_lock = threading.Lock()
_filters_users = 0
_filters = warnings.catch_warnings()


@contextmanager
def _pillow_warnings() -> Iterator[None]:
    """A too large image is an error, and Pillow's remarks on odd but readable files are silenced.

    `warnings.catch_warnings` changes filters that all threads share, and restores wrong ones when
    its uses overlap. So the first user of many enters and the last one leaves.
    """
    global _filters, _filters_users
    with _filters_lock:
        if _filters_users == 0:
            _filters = warnings.catch_warnings()
            _filters.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
            warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
        _filters_users += 1
    try:
        yield
    finally:
        with _filters_lock:
            _filters_users -= 1
            if _filters_users == 0:
                _filters.__exit__(None, None, None)


def _by(size_wh: tuple[int, int]) -> str:
    return f"{size_wh[0]}x{size_wh[1]}"
