"""A trained run as a program and separate weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from rdvar_jax.models.fold import fold_batch_norm
from rdvar_jax.models.image_size import ImageSize, height_width
from rdvar_jax.models.student import StudentNetwork
from rdvar_jax.models.teacher import Teacher
from rdvar_jax.scoring.pooling import MAX, Pooling, pack_pixels
from rdvar_jax.scoring.scores import make_score_step

# Of jax.export, on which the program can run.
PLATFORMS = ("cpu", "cuda")


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

    Convolutions are direct, without Winograd's algorithm as in scoring on CPU, so that one program
    suits every platform and number of images.

    Args:
        teacher: the teacher's module.
        student: the student's module.
        weights: from `folded_weights`; only shapes are used, since the function takes the weights
          as an argument.
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
        variables = _unflatten(weights)
        return score_step(
            {"params": variables["teacher"]}, {"params": variables["student"]}, images
        )

    (batch,) = export.symbolic_shape("b")
    images = jax.ShapeDtypeStruct((batch, *height_width(image_size), 3), jnp.uint8)
    shapes = {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in weights.items()}
    with _without_source_paths():
        exported = export.export(jax.jit(program), platforms=PLATFORMS)(shapes, images)
        return bytes(exported.serialize())


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


def _unflatten(weights: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, array in weights.items():
        *folders, name = path.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[name] = array
    return tree
