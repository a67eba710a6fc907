"""Arithmetic per image: `python arithmetic.py SETTINGS` prints GFLOP by kind of row.

Multiplications and additions of the convolutions and matrix products that the result needs, and
nothing else: not what a compiler adds, nor what an implementation does in vain. The gradient of a
layer takes twice its forward pass; the frozen teacher has none.
"""

import json
import math
from collections.abc import Callable
from typing import Any

import jax
from serve import read_settings

from rdvar_jax.models.build import build_student, build_teacher, feature_shapes, image_shape
from rdvar_jax.models.initialise import abstract_variables


def gflop_an_image(arch: str, stem_width: int, image_size: int) -> dict[str, float]:
    """Returns GFLOP per image by kind; computes and compiles nothing."""
    teacher, student = build_teacher(arch, stem_width), build_student(arch, stem_width)
    image = image_shape(image_size)
    features = feature_shapes(arch, stem_width, image_size)
    frozen = _gflop(teacher.apply, abstract_variables(teacher, image), image)
    trained = _gflop(
        lambda variables, maps: student.apply(variables, maps, train=False),
        abstract_variables(student, features, train=False),
        features,
    )
    return {
        "train": frozen + 3 * trained,
        "train+cache": 3 * trained,
        "score": frozen + trained,
    }


def _gflop(fn: Callable, *shapes: Any) -> float:
    return 2e-9 * sum(_products(equation) for equation in _equations(jax.make_jaxpr(fn)(*shapes)))


def _equations(closed: Any):
    """All equations of a traced function, those of functions that it calls included."""
    for equation in closed.jaxpr.eqns:
        inner = [value for value in equation.params.values() if hasattr(value, "jaxpr")]
        # One of several forms of the same arithmetic, by platform.
        inner += equation.params.get("branches", ())[-1:]
        if inner:
            for value in inner:
                yield from _equations(value)
        else:
            yield equation


def _products(equation: Any) -> int:
    """Products of two numbers that an equation takes, where it is a convolution or a product."""
    shapes = [value.aval.shape for value in equation.invars]
    results = math.prod(equation.outvars[0].aval.shape)
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        return results * math.prod(shapes[0][axis] for axis in contracted)
    if equation.primitive.name == "conv_general_dilated":
        features_out = equation.params["dimension_numbers"].rhs_spec[0]
        return results * math.prod(shapes[1]) // shapes[1][features_out]
    return 0


if __name__ == "__main__":
    settings = read_settings()
    print(json.dumps(gflop_an_image(settings.arch, settings.stem_width, settings.image_size)))
