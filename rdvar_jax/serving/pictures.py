"""Conversion of a detector's inputs to the pixels that its program takes."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageOps

from rdvar_jax.data.pixels.decode import FileFacts, decode_file
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


def to_pixels(
    pictures: np.ndarray | Sequence[Picture], geometry: Geometry, remarks: SetRemarks
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Resizes each picture as in training.

    Arrays of H x W are taken as they are; `remarks` takes the facts of all other pictures.

    Returns:
        uint8 [N, H, W, 3], and width and height of each picture, upright.

    Raises:
        DataError: a file cannot be read, or an item is not a picture.
    """
    shape = (geometry.height, geometry.width, 3)
    if isinstance(pictures, np.ndarray) and pictures.shape[1:] == shape:
        _check_dtype(pictures)
        return pictures, [(geometry.width, geometry.height)] * len(pictures)
    pixels = np.empty((len(pictures), *shape), np.uint8)
    sizes_wh = []
    for index, picture in enumerate(pictures):
        if isinstance(picture, str | os.PathLike):
            name = Path(picture)
            pixels[index], facts = decode_file(name, geometry)
        else:
            name = _numbered(index)
            pixels[index], facts = _one(picture, geometry, name)
        remarks.note(name, facts)
        sizes_wh.append(facts.size_wh)
    return pixels, sizes_wh


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
