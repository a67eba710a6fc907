"""Builders of networks from a backbone or its name."""

from typing import Any

import jax
import jax.numpy as jnp

from rdvar_jax.models.image_size import ImageSize, height_width
from rdvar_jax.models.student import Student, StudentNetwork
from rdvar_jax.models.teacher import Teacher
from rdvar_jax.weights.architectures import Architecture, get_architecture


def build_teacher(arch: str | Architecture, stem_width: int) -> Teacher:
    """Returns the teacher of a backbone."""
    return Teacher(get_architecture(arch), stem_width)


def build_student(
    arch: str | Architecture, stem_width: int, axis_name: str | None = None
) -> Student:
    """Returns the bottleneck and decoder for the teacher of the same backbone.

    Args:
        arch: the backbone, or its name.
        stem_width: channels of the teacher's stem.
        axis_name: mapped axis over which batch statistics are computed in training.
    """
    return Student(get_architecture(arch), stem_width, axis_name)


def feature_shapes(
    arch: str | Architecture, stem_width: int, image_size: ImageSize
) -> list[jax.ShapeDtypeStruct]:
    """Returns the shapes of the teacher's three maps for one image, [1, H, W, C] each."""
    channels = stem_width * get_architecture(arch).expansion
    height, width = height_width(image_size)
    return [
        jax.ShapeDtypeStruct(
            (1, height // (4 * 2**k), width // (4 * 2**k), channels * 2**k), jnp.float32
        )
        for k in range(3)
    ]


def student_shapes(student: StudentNetwork, image_size: ImageSize) -> Any:
    """Returns the shapes of a student's input for one image."""
    if student.sees_images:
        return image_shape(image_size)
    return feature_shapes(student.architecture, student.stem_width, image_size)


def image_shape(image_size: ImageSize) -> jax.ShapeDtypeStruct:
    """Returns the shape of one normalised image, [1, H, W, 3]."""
    return jax.ShapeDtypeStruct((1, *height_width(image_size), 3), jnp.float32)
