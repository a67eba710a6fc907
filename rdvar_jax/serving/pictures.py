"""Conversion of a detector's inputs to the pixels that its program takes."""

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageOps

from rdvar_jax.data.loading.ahead import ahead
from rdvar_jax.data.pixels.decode import FileFacts, decode_file
from rdvar_jax.data.pixels.file_errors import pillow_warnings
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.image_file import read_8_bit
from rdvar_jax.data.pixels.set_remarks import SetRemarks
from rdvar_jax.data.sets.inputs import find_inputs
from rdvar_jax.errors import DataError

# A uint8 array [H, W, 3] in RGB or [H, W] in grey, a Pillow image, or the path of an image file.
Picture: TypeAlias = np.ndarray | Image.Image | str | os.PathLike[str]


def as_pictures(images: Any) -> tuple[np.ndarray | Sequence[Picture], list[str]]:
    """Returns a detector's input as a sequence, with a name for each picture.

    A single picture becomes a sequence of one, and a folder or a pattern its images.

    Raises:
        DataError: it is not a picture or a sequence, or a folder has no image.
    """
    if isinstance(images, Image.Image | str | os.PathLike):
        images = [images]
    elif isinstance(images, np.ndarray):
        if images.dtype == object or images.ndim not in (2, 3, 4):
            raise DataError(_not_a_picture(images))
        images = images if images.ndim == 4 else [images]
    elif not isinstance(images, Sequence):
        raise DataError(_not_a_picture(images))
    if isinstance(images, np.ndarray):
        return images, [_numbered(index) for index in range(len(images))]
    pictures: list[Picture] = []
    names: list[str] = []
    for given in images:
        if not isinstance(given, str | os.PathLike):
            pictures.append(given)
            names.append(_numbered(len(names)))
        elif os.path.isfile(given):
            pictures.append(given)
            names.append(os.fspath(given))
        else:
            found = find_inputs([Path(given)])
            pictures += [image.path for image in found]
            names += [image.name for image in found]
    return pictures, names


def _numbered(index: int) -> str:
    return f"image {index}"


def pixel_batches(
    pictures: np.ndarray | Sequence[Picture],
    geometry: Geometry,
    remarks: SetRemarks,
    batch_size: int,
) -> Iterator[tuple[np.ndarray, list[tuple[int, int]]]]:
    """Resizes each picture as in training, in threads while the batch before is used.

    Arrays of H x W are taken as they are; `remarks` takes the facts of all other pictures.

    Yields:
        uint8 [B, H, W, 3], and width and height of each picture, upright; the last batch may be
        smaller.

    Raises:
        DataError: a file cannot be read, or an item is not a picture; raised when its batch is due.
    """
    starts = range(0, len(pictures), batch_size)
    if isinstance(pictures, np.ndarray) and pictures.shape[1:] == (
        geometry.height,
        geometry.width,
        3,
    ):
        _check_dtype(pictures)
        for start in starts:
            batch = pictures[start : start + batch_size]
            yield batch, [(geometry.width, geometry.height)] * len(batch)
        return
    lock = threading.Lock()  # a user's image may be in the sequence twice, and loads on first use

    def convert(index: int) -> tuple[np.ndarray, FileFacts]:
        picture = pictures[index]
        if isinstance(picture, str | os.PathLike):
            return decode_file(Path(picture), geometry)
        with lock:
            return _one(picture, geometry, _numbered(index))

    with (
        pillow_warnings(geometry.reading.max_pixels),
        ahead(convert, range(len(pictures)), batch_size) as converted,
    ):
        for start in starts:
            pixels, sizes_wh = [], []
            for picture, (one, facts) in zip(
                pictures[start : start + batch_size], converted, strict=False
            ):
                is_file = isinstance(picture, str | os.PathLike)
                remarks.note(Path(picture) if is_file else _numbered(start + len(pixels)), facts)
                pixels.append(one)
                sizes_wh.append(facts.size_wh)
            yield np.stack(pixels), sizes_wh


def _one(
    picture: np.ndarray | Image.Image, geometry: Geometry, name: str
) -> tuple[np.ndarray, FileFacts]:
    if isinstance(picture, np.ndarray):
        _check_dtype(picture)
        if picture.ndim != 2 and picture.shape[2:] != (3,) or 0 in picture.shape:
            raise DataError(_not_a_picture(picture))
        picture = Image.fromarray(picture)
    elif not isinstance(picture, Image.Image):
        raise DataError(_not_a_picture(picture))
    # As when read from a file, and without changing the user's image.
    upright = ImageOps.exif_transpose(picture)
    image, levels = read_8_bit(upright, name, "RGB", geometry.reading)
    return geometry.apply_image(image), FileFacts(image.size, levels)


def _check_dtype(array: np.ndarray) -> None:
    if array.dtype != np.uint8:
        raise DataError(
            f"an image array has dtype {array.dtype}, whose value range is unknown; pass uint8 "
            "from 0 to 255."
        )


def _not_a_picture(given: Any) -> str:
    if isinstance(given, np.ndarray):
        given_as = f"an array of shape {list(given.shape)} and dtype {given.dtype}"
    else:
        given_as = f"a {type(given).__name__}"
    return (
        f"{given_as} is not an image; pass uint8 arrays [H, W, 3] in RGB or [H, W] in grey, "
        "Pillow images, or paths of files."
    )
