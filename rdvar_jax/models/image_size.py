"""Image sizes that the networks accept; importable without JAX."""

from typing import Any, TypeAlias

import numpy as np

from rdvar_jax.errors import DataError

# The teacher's deepest map is 1/16 of the image and the bottleneck halves it once more.
SIZE_MULTIPLE = 32

# S, or (H, W).
ImageSize: TypeAlias = int | tuple[int, int]


def check_images(images: Any) -> None:
    """Raises a DataError for an array that the networks cannot take as images."""
    shape, dtype = getattr(images, "shape", ()), getattr(images, "dtype", None)
    if len(shape) != 4 or shape[3] != 3 or dtype != np.uint8:
        raise DataError(
            f"the images are {dtype} {list(shape)}; pass uint8 [N, H, W, 3] in RGB, as "
            "load_category returns them."
        )
    if shape[1] % SIZE_MULTIPLE or shape[2] % SIZE_MULTIPLE:
        raise DataError(
            f"the images are {shape[1]}x{shape[2]}; both sides must be multiples of "
            f"{SIZE_MULTIPLE}, as load_category(..., image_size=256) returns them."
        )


def height_width(size: ImageSize) -> tuple[int, int]:
    """Returns H and W."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])
