"""The teacher's features of the whole training set, computed once.

The teacher is frozen and images are not augmented, so its features of an image never change.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rdvar_jax.devices.parallel import Parallel, compiled, made_once
from rdvar_jax.models.precision import compute_dtype, with_precision
from rdvar_jax.models.teacher import Teacher, normalise


@made_once
def make_feature_step(teacher: Teacher, batch_size: int, precision: str) -> Callable:
    """Makes (features, teacher_variables, data, start) -> features with some rows filled in.

    The rows are `start` to `start + batch_size`. `data` is uint8 [N, H, W, 3], `features` three
    maps [N, h, w, C]; donated, they are filled where they lie.
    """
    dtype = compute_dtype(precision)

    def feature_step(features, teacher_variables, data, start):
        images = lax.dynamic_slice_in_dim(data, start, batch_size)
        new: Any = teacher.apply(teacher_variables, normalise(images, dtype))
        return tuple(
            lax.dynamic_update_slice_in_dim(old, rows, start, axis=0)
            for old, rows in zip(features, new, strict=True)
        )

    return with_precision(precision, feature_step)


def teacher_features(
    teacher: Teacher,
    teacher_variables: Any,
    data: Any,
    batch_size: int,
    parallel: Parallel,
    precision: str = "tf32",
) -> tuple[jax.Array, ...]:
    """The teacher's maps of all images, replicated like `data`.

    They are computed batch by batch and each device computes all of them: it is one pass. No more
    memory is needed than for the maps and for the teacher's pass over one batch.

    Args:
        teacher: the teacher's module.
        teacher_variables: replicated, folded or not.
        data: replicated images, uint8 [N, H, W, 3].
        batch_size: images a call; the last one overlaps the one before.
        parallel: the devices.
        precision: one of `PRECISIONS`.

    Returns:
        Maps [N, h, w, C] in the type in which the networks compute, from the largest to the
        smallest.
    """
    count = len(data)
    batch_size = min(batch_size, count)
    dtype = compute_dtype(precision)
    image = jax.ShapeDtypeStruct((1, *data.shape[1:]), dtype)
    shapes = jax.eval_shape(teacher.apply, teacher_variables, image)
    # Nothing is split, so there is nothing for `parallel.wrap` to do.
    compile = partial(
        compiled, platform=parallel.devices[0].platform, out_shardings=parallel.replicated
    )
    make = compile(lambda: tuple(jnp.zeros((count, *s.shape[1:]), dtype) for s in shapes))
    step = compile(make_feature_step(teacher, batch_size, precision), donate_argnums=0)
    features = make()
    for start in range(0, count, batch_size):
        first = np.int32(min(start, count - batch_size))
        features = step(features, teacher_variables, data, parallel.replicate(first))
    return features
