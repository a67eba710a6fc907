"""Networks by name."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdvar_jax.models.architectures import ARCHITECTURES, ImageSize, height_width
from rdvar_jax.models.student import Student
from rdvar_jax.models.teacher import Teacher


def build_teacher(arch: str, stem_width: int) -> Teacher:
    """The teacher of one of `ARCHITECTURES`."""
    return Teacher(ARCHITECTURES[arch], stem_width)


def build_student(arch: str, stem_width: int, axis_name: str | None = None) -> Student:
    """The bottleneck and decoder that belong to the teacher of the same name.

    Args:
        arch: one of `ARCHITECTURES`.
        stem_width: channels of the teacher's stem.
        axis_name: mapped axis over which batch statistics are taken in training.
    """
    return Student(ARCHITECTURES[arch], stem_width, axis_name)


def feature_shapes(arch: str, stem_width: int, image_size: ImageSize) -> list[jax.ShapeDtypeStruct]:
    """Shapes of the teacher's three maps for one image, [1, H, W, C] each."""
    channels = stem_width * ARCHITECTURES[arch].expansion
    height, width = height_width(image_size)
    return [
        jax.ShapeDtypeStruct(
            (1, height // (4 * 2**k), width // (4 * 2**k), channels * 2**k), jnp.float32
        )
        for k in range(3)
    ]


def feature_bytes(arch: str, stem_width: int, image_size: ImageSize, dtype: Any) -> int:
    """Memory that the teacher's three maps of one image take."""
    shapes = feature_shapes(arch, stem_width, image_size)
    return sum(shape.size for shape in shapes) * np.dtype(dtype).itemsize


def image_shape(image_size: ImageSize) -> jax.ShapeDtypeStruct:
    """One normalised image, [1, H, W, 3]."""
    return jax.ShapeDtypeStruct((1, *height_width(image_size), 3), jnp.float32)
