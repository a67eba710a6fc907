"""The distinct convolutions of teacher, bottleneck and decoder: `python find_layers.py SETTINGS`.

Prints them as JSON. Read from the networks themselves, by tracing them; nothing is computed.
"""

import json
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import flax.linen as nn
import jax
from layer import Layer
from serve import read_settings

from rdvar_jax.models.build import build_student, build_teacher, feature_shapes, image_shape
from rdvar_jax.models.initialise import abstract_variables
from rdvar_jax.models.layers import Conv, Deconv

# Their input is what the frozen teacher computes, so no gradient of it is needed.
FIRST_OF_STUDENT = ("ocbe/conv1", "ocbe/conv3")


def find_layers(arch: str, stem_width: int, image_size: int, batch: int) -> list[Layer]:
    """Returns the distinct layers in the order in which the networks run them."""
    images = _batched(image_shape(image_size), batch)
    features = [_batched(shape, batch) for shape in feature_shapes(arch, stem_width, image_size)]
    found: dict[Layer, Layer] = {}

    def note(part: str, next_fn, args, kwargs, context):
        module = context.module
        if isinstance(module, (Conv, Deconv)) and context.method_name == "__call__":
            deconv = isinstance(module, Deconv)
            size, stride = (2, 2) if deconv else (module.kernel_size, module.stride)
            kind = "deconv" if deconv else "conv"
            layer = Layer(kind, tuple(args[0].shape), module.features, size, stride)
            seen = found.get(layer, layer)
            first = "/".join(module.path) in FIRST_OF_STUDENT
            found[layer] = replace(
                seen,
                teacher=seen.teacher + (part == "teacher"),
                student=seen.student + (part == "student"),
                without_input_gradient=seen.without_input_gradient + first,
            )
        return next_fn(*args, **kwargs)

    teacher, student = build_teacher(arch, stem_width), build_student(arch, stem_width)
    variables = abstract_variables(teacher, images)
    with nn.intercept_methods(partial(note, "teacher")):
        jax.eval_shape(teacher.apply, variables, images)
    variables = abstract_variables(student, features, train=False)
    with nn.intercept_methods(partial(note, "student")):
        jax.eval_shape(partial(student.apply, train=False), variables, features)
    return list(found.values())


def _batched(shape: jax.ShapeDtypeStruct, batch: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((batch, *shape.shape[1:]), shape.dtype)


def main() -> None:
    settings: Any = read_settings()
    layers = find_layers(settings.arch, settings.stem_width, settings.image_size, settings.batch)
    print(json.dumps([asdict(layer) for layer in layers]))


if __name__ == "__main__":
    main()
