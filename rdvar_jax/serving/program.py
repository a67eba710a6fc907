"""A trained run as a program and separate weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from rdvar_jax.models import few_rows
from rdvar_jax.models.fold import fold_batch_norm
from rdvar_jax.models.image_size import ImageSize, height_width
from rdvar_jax.models.precision import compute_dtype
from rdvar_jax.models.prepared_kernels import with_prepared_kernels
from rdvar_jax.models.student import StudentNetwork, student_input
from rdvar_jax.models.teacher import Teacher
from rdvar_jax.scoring.pooling import MAX, Pooling, pack_pixels
from rdvar_jax.scoring.scores import make_score_step

# Of jax.export, on which the program can run.
PLATFORMS = ("cpu", "cuda")
# Kernels are chosen for this many: a bundle scores any number, from one to its user's batch.
_IMAGES = 4


def folded_weights(teacher_variables: Any, student_variables: Any) -> dict[str, np.ndarray]:
    """Returns the weights for scoring, by names such as "teacher/layer1/block0/bn1/bias".

    Args:
        teacher_variables: as in training, numpy or JAX arrays.
        student_variables: as in training.

    Returns:
        float32 arrays: a kernel for each convolution, with its batch normalisation folded in, and
        the remaining bias.
    """
    variables = {"teacher": teacher_variables, "student": student_variables}
    weights: dict[str, np.ndarray] = {}
    for network, trained in jax.device_get(variables).items():
        _flatten(fold_batch_norm(trained)["params"], f"{network}/", weights)
    return weights


def export_program(
    teacher: Teacher,
    student: StudentNetwork,
    weights: Mapping[str, np.ndarray],
    image_size: ImageSize,
    sigma: float,
    precision: str,
    pooling: Pooling = MAX,
    ignored: np.ndarray | None = None,
) -> bytes:
    """Exports the function (weights, images) -> (maps, scores) with `jax.export`.

    Nothing is computed by Winograd's algorithm as in scoring on CPU, so that one program suits
    every platform and number of images.

    Args:
        teacher: the teacher's module.
        student: the student's module.
        weights: from `folded_weights` or `bundled_weights`; only shapes are used, since the
          function takes the weights as an argument.
        image_size: S or (H, W).
        sigma: of the map's blur, in pixels.
        precision: one of `PRECISIONS`.
        pooling: as in `make_score_step`.
        ignored: bool [H, W], pixels that do not count, a constant of the program; None if all do.

    Returns:
        The serialised function. It takes a dict of weights and uint8 images [b, H, W, 3] for any
        b, and returns maps [b, H, W] and scores [b], float32; see `make_score_step`.
    """
    score_step = make_score_step(
        teacher, student, image_size, sigma, precision, pooling, pack_pixels(ignored)
    )

    def program(weights, images):
        variables = _of_networks(weights)
        return score_step(variables["teacher"], variables["student"], images)

    (batch,) = export.symbolic_shape("b")
    images = jax.ShapeDtypeStruct((batch, *height_width(image_size), 3), jnp.uint8)
    shapes = {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in weights.items()}
    with _without_source_paths():
        exported = export.export(jax.jit(program), platforms=PLATFORMS)(shapes, images)
        return bytes(exported.serialize())


def bundled_weights(
    teacher: Teacher,
    student: StudentNetwork,
    weights: Mapping[str, np.ndarray],
    image_size: ImageSize,
    precision: str,
) -> dict[str, np.ndarray]:
    """Returns the weights of a bundle: kernels of few output positions are transposed.

    So the program reads them without copying (`models/few_rows.py`). Those are the kernels
    of up to 16 output positions an image, the largest ones of up to 32, for any number of images.

    Args:
        teacher: the teacher's module.
        student: the student's module.
        weights: from `folded_weights`.
        image_size: S or (H, W).
        precision: one of `PRECISIONS`; with bfloat16 all kernels stay.

    Returns:
        The weights, with names such as "few_rows/student/ocbe/bn_layer/block0/conv1/kernel" for
        the transposed ones.
    """
    dtype = compute_dtype(precision)
    if dtype != jnp.float32:
        return dict(weights)
    images = jax.ShapeDtypeStruct((_IMAGES, *height_width(image_size), 3), dtype)
    prepare = partial(with_prepared_kernels, collections=(few_rows.COLLECTION,))

    def transpose(weights):
        variables = _of_networks(weights)
        features = jax.eval_shape(teacher.apply, variables["teacher"], images)
        seen = student_input(student, images, features)
        prepared = {
            "teacher": prepare(teacher, variables["teacher"], images),
            "student": prepare(student, variables["student"], seen, train=False),
        }
        return {name: found.get(few_rows.COLLECTION, {}) for name, found in prepared.items()}

    transposed: dict[str, np.ndarray] = {}
    # Without the options of `devices/compiler.py`: it only moves values.
    _flatten(jax.device_get(jax.jit(transpose)(dict(weights))), "", transposed)
    kept = {name: kernel for name, kernel in weights.items() if name not in transposed}
    return kept | {f"{few_rows.COLLECTION}/{name}": x for name, x in transposed.items()}


@contextmanager
def _without_source_paths() -> Iterator[None]:
    """Keeps source paths, which JAX records for debuggers, out of the lowered program.

    So a run exports to the same bytes wherever this package is installed.
    """
    name = "jax_traceback_in_locations_limit"
    before = getattr(jax.config, name)
    jax.config.update(name, 0)
    try:
        yield
    finally:
        jax.config.update(name, before)


def _flatten(tree: Mapping[str, Any], prefix: str, into: dict[str, np.ndarray]) -> None:
    for name, node in tree.items():
        if isinstance(node, Mapping):
            _flatten(node, f"{prefix}{name}/", into)
        else:
            into[prefix + name] = np.asarray(node, np.float32)


def _of_networks(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the variables of teacher and student."""
    tree = _unflatten(weights)
    transposed = tree.pop(few_rows.COLLECTION, {})
    return {
        network: {"params": params, few_rows.COLLECTION: transposed.get(network, {})}
        for network, params in tree.items()
    }


def _unflatten(weights: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, array in weights.items():
        *folders, name = path.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[name] = array
    return tree
