"""Images as a user of a detector has them become what its program takes."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageOps

from rdvar_jax.data.pixels.decode import decode_image
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.image_file import as_8_bit
from rdvar_jax.errors import DataError

# A uint8 array [H, W, 3] in RGB or [H, W] in grey, a picture of Pillow's, or an image file.
Picture: TypeAlias = np.ndarray | Image.Image | str | os.PathLike[str]


def as_pictures(images: Any) -> np.ndarray | Sequence[Picture]:
    """What was given to a detector as a sequence; one picture alone becomes a sequence of one.

    Raises:
        DataError: it is neither a picture nor several.
    """
    if isinstance(images, Image.Image | str | os.PathLike):
        return [images]
    if isinstance(images, np.ndarray):
        if images.dtype == object or images.ndim not in (2, 3, 4):
            raise DataError(_not_a_picture(images))
        return images if images.ndim == 4 else [images]
    if isinstance(images, Sequence):
        return images
    raise DataError(_not_a_picture(images))


def to_pixels(pictures: np.ndarray | Sequence[Picture], geometry: Geometry) -> np.ndarray:
    """uint8 [N, H, W, 3]: each picture brought to this size as in training.

    Raises:
        DataError: a file cannot be read, or something is no picture.
    """
    shape = (geometry.height, geometry.width, 3)
    if isinstance(pictures, np.ndarray) and pictures.shape[1:] == shape:
        _check_dtype(pictures)
        return pictures
    pixels = np.empty((len(pictures), *shape), np.uint8)
    for index, picture in enumerate(pictures):
        pixels[index] = _one(picture, geometry, f"image {index}")
    return pixels


def _one(picture: Picture, geometry: Geometry, name: str) -> np.ndarray:
    if isinstance(picture, str | os.PathLike):
        return decode_image(Path(picture), geometry)
    if isinstance(picture, np.ndarray):
        _check_dtype(picture)
        if picture.ndim != 2 and picture.shape[2:] != (3,) or 0 in picture.shape:
            raise DataError(_not_a_picture(picture))
        picture = Image.fromarray(picture)
    elif not isinstance(picture, Image.Image):
        raise DataError(_not_a_picture(picture))
    # As a file of it would be read, and without a change to the user's own.
    upright = ImageOps.exif_transpose(picture)
    return geometry.apply_image(as_8_bit(upright, name, "RGB"))


def _check_dtype(array: np.ndarray) -> None:
    if array.dtype != np.uint8:
        raise DataError(
            f"an array has the type {array.dtype}, and its full value cannot be known; give uint8, "
            "from 0 to 255."
        )


def _not_a_picture(given: Any) -> str:
    if isinstance(given, np.ndarray):
        given_as = f"an array of shape {list(given.shape)} and type {given.dtype}"
    else:
        given_as = f"a {type(given).__name__}"
    return (
        f"{given_as} is not an image; give uint8 arrays [H, W, 3] in RGB or [H, W] in grey, "
        "pictures of Pillow's, or paths of files."
    )
