"""Teacher features of the whole training set, computed once.

The teacher is frozen and images are not augmented, so an image's features never change.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rdvar_jax.devices.compiler import compiled
from rdvar_jax.devices.parallel import Parallel, made_once
from rdvar_jax.models.precision import compute_dtype, with_precision
from rdvar_jax.models.teacher import Teacher, normalise


@made_once
def make_feature_step(teacher: Teacher, batch_size: int, precision: str) -> Callable:
    """Makes (features, teacher_variables, data, start) -> features with a batch filled in.

    The batch is rows `start` to `start + batch_size`. `data` is uint8 [N, H, W, 3], `features`
    three maps [N, h, w, C]; donated, they are filled in place.
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
    """Computes the teacher's maps of all images, replicated like `data`.

    Every device computes all maps, batch by batch, in one pass. Memory is needed for the maps and
    for the teacher's pass over one batch only.

    Args:
        teacher: the teacher's module.
        teacher_variables: replicated, folded or not.
        data: replicated images, uint8 [N, H, W, 3].
        batch_size: images per call; the last batch overlaps the previous one.
        parallel: the devices.
        precision: one of `PRECISIONS`.

    Returns:
        Maps [N, h, w, C] in the dtype in which the networks compute, largest first.
    """
    count = len(data)
    batch_size = min(batch_size, count)
    dtype = compute_dtype(precision)
    image = jax.ShapeDtypeStruct((1, *data.shape[1:]), dtype)
    shapes = jax.eval_shape(teacher.apply, teacher_variables, image)
    # Nothing is sharded, so `parallel.wrap` is not needed.
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
