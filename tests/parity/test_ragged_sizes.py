"""float32 at ragged sizes against float64: odd batches, non-square, N·H·W beside powers of two.

Vectorised and split loops err in their last rows or blocks, where a size is not a multiple of
theirs (jax-ml/jax#39103), and powers of two, on which everything else is tested, hide it.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from library_model import double_precision

from rdvar_jax.devices.compiler import compiled
from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.models.layers import EPSILON, BatchNorm
from rdvar_jax.models.precision import compute_dtype
from rdvar_jax.models.teacher import normalise
from rdvar_jax.scoring.maps import SIGMA, anomaly_maps, blur_matrix, map_matrices, upsampling_matrix
from rdvar_jax.scoring.scores import make_score_fn
from rdvar_jax.training.losses import STAGES, RDVarLoss, distillation_loss, variance_loss
from rdvar_jax.training.step import make_gradient_fn

# [B, h, w, C]; B h w is 15, 4095, 4097, 32768 and 32769.
SHAPES = [(1, 3, 5, 2), (9, 13, 35, 8), (17, 1, 241, 3), (16, 64, 32, 3), (9, 11, 331, 3)]

TOLERANCE = 1e-4  # of a tensor's largest value, and 1e-5 is seen; a wrong row is off by 2e-3


def assert_right(found: dict, expected: dict, tolerance: float = TOLERANCE) -> None:
    assert found.keys() == expected.keys()
    for name, right in expected.items():
        value = np.asarray(found[name], np.float64)
        assert value.shape == np.shape(right), name
        error, largest = np.abs(value - right).max(), np.abs(right).max()
        bound = tolerance * largest if largest > 1e-12 else 1e-6  # L_var of one image is zero
        assert error < bound, f"{name}: {error:.1e} of {largest:.1e}"


@pytest.mark.parametrize("shape", SHAPES)
def test_what_sums_over_a_batch_is_right(shape):
    """Batch normalisation, losses and maps with their gradients, against numpy in float64."""
    rng = np.random.default_rng(0)
    teacher, student, cotangent = rng.standard_normal((3, *shape), np.float32) + np.float32(0.5)
    scale, bias = rng.uniform(0.5, 2, (2, shape[-1])).astype(np.float32)
    found = compiled(_quantities, platform="cpu")(teacher, student, cotangent, scale, bias)
    double = (x.astype(np.float64) for x in (teacher, student, cotangent, scale, bias))
    assert_right(jax.device_get(found), _right_quantities(*double))


def _quantities(teacher, student, cotangent, scale, bias):
    zeros, ones = jnp.zeros_like(bias), jnp.ones_like(bias)

    def normalise(x, scale, bias):
        variables = {
            "params": {"scale": scale, "bias": bias},
            "batch_stats": {"mean": zeros, "var": ones},
        }
        return BatchNorm().apply(variables, x, train=True, mutable=["batch_stats"])

    normalised, pull, updates = jax.vjp(normalise, student, scale, bias, has_aux=True)
    gradients = pull(cotangent)
    quantities = {
        "normalised": normalised,
        "mean": updates["batch_stats"]["mean"],
        "variance": updates["batch_stats"]["var"],
        **dict(zip(("by x", "by scale", "by bias"), gradients, strict=True)),
    }
    losses = {
        "flat": lambda x: distillation_loss([teacher], [x], "flat"),
        "pixel": lambda x: distillation_loss([teacher], [x], "pixel"),
        "variance": lambda x: variance_loss(x, RDVarLoss()),
    }
    for name, loss in losses.items():
        value, gradient = jax.value_and_grad(loss)(student)
        quantities |= {f"loss {name}": value, f"gradient {name}": gradient}
    _, height, width, _ = student.shape
    (rows,), (columns,) = (map_matrices(2 * size, [size]) for size in (height, width))
    maps = anomaly_maps([teacher], [student], [rows], [columns])
    return quantities | {"maps": maps, "scores": maps.max((1, 2))}


def _right_quantities(teacher, student, cotangent, scale, bias):
    mean, var = student.mean((0, 1, 2)), student.var((0, 1, 2))
    count = student[..., 0].size
    inverse = 1 / np.sqrt(var + EPSILON)
    centred = (student - mean) * inverse
    by_scale, by_bias = (cotangent * centred).sum((0, 1, 2)), cotangent.sum((0, 1, 2))
    by_x = (cotangent - by_bias / count - centred * by_scale / count) * scale * inverse
    quantities = {
        "normalised": centred * scale + bias,
        "mean": 0.1 * mean,
        "variance": 0.9 + 0.1 * var * count / (count - 1),
        "by x": by_x,
        "by scale": by_scale,
        "by bias": by_bias,
    }
    flat_teacher, flat = (x.reshape(len(x), -1) for x in (teacher, student))
    for name, t, s in (("flat", flat_teacher, flat), ("pixel", teacher, student)):
        cosine, gradient, _ = _cosine(s, t)
        quantities[f"loss {name}"] = (1 - cosine).mean()
        quantities[f"gradient {name}"] = (-gradient / cosine.size).reshape(student.shape)
    centre = flat.mean(0, keepdims=True)
    cosine, gradient, of_centre = _cosine(flat, centre)
    quantities["loss variance"] = (1 - cosine).mean()
    through_mean = of_centre.mean(0, keepdims=True)
    quantities["gradient variance"] = -(gradient + through_mean).reshape(student.shape) / len(flat)
    maps = _right_maps(teacher, student, *(2 * size for size in student.shape[1:3]))
    return quantities | {"maps": maps, "scores": maps.max((1, 2))}


def _right_maps(teacher, student, height: int, width: int):
    distance = 1 - _cosine(student, teacher)[0]
    left, right = (
        blur_matrix(out, SIGMA) @ upsampling_matrix(out, size)
        for out, size in zip((height, width), distance.shape[1:], strict=True)
    )
    return left @ distance @ right.T


def _cosine(a, b):
    """Cosine along the last axis, 0 with a zero vector, and its gradients by a and b."""
    norm_a, norm_b = (np.maximum(np.sqrt((x**2).sum(-1, keepdims=True)), 1e-8) for x in (a, b))
    cosine = (a * b).sum(-1, keepdims=True) / (norm_a * norm_b)
    by_a = b / (norm_a * norm_b) - cosine * a / norm_a**2
    by_b = a / (norm_a * norm_b) - cosine * b / norm_b**2
    return cosine[..., 0], by_a, by_b


# The whole networks, compiled for each size, and in float64 once more.
LOSS = RDVarLoss(lambda_var=0.5, stages=STAGES)
GRID = [(batch, 32, 64) for batch in range(1, 18)] + [
    (1, 96, 352),
    (7, 160, 32),
    (5, 416, 64),
    (3, 32, 96),
]
NIGHTLY = {(batch, 32, 64) for batch in (3, 5, 6, 9, 10, 11, 12, 14, 15)}


@pytest.mark.parametrize(
    ("batch", "height", "width"),
    [
        pytest.param(*size, marks=pytest.mark.nightly if size in NIGHTLY else pytest.mark.slow)
        for size in GRID
    ],
)
def test_step_and_scores_are_those_of_float64(tiny, batch, height, width):
    rng = np.random.default_rng(batch)
    images = rng.integers(0, 256, (batch, height, width, 3), dtype=np.uint8)
    parallel = Parallel("pmap", tuple(jax.local_devices()[:1]))
    variables = tiny.teacher_variables, tiny.student_variables

    found = _step(tiny, parallel, *variables, images)
    score = make_score_fn(tiny.teacher, tiny.student, (height, width), batch, parallel)
    found["maps"], found["scores"] = score(*parallel.replicate(variables), images)
    with double_precision():
        doubled = jax.tree.map(lambda x: x.astype(np.float64), variables)
        expected = _step(tiny, parallel, *doubled, images)
        targets, features = _features(tiny, parallel, *doubled, images)
    maps = sum(_right_maps(*pair, height, width) for pair in zip(targets, features, strict=True))
    expected |= {"maps": maps, "scores": maps.max((1, 2))}
    # The deepest maps of one image have 1 x 2 positions, which batch statistics amplify.
    assert_right(found, expected, 3e-4 if batch > 1 or height > 32 else 2e-3)


# Without the memory of `made_once`, which does not know of precisions that tests make.
def _step(tiny, parallel, teacher, student, images) -> dict[str, np.ndarray]:
    gradient_fn = make_gradient_fn.__wrapped__(tiny.teacher, tiny.student, LOSS)
    step = parallel.wrap(gradient_fn, split=(False, False, False, True), split_output=False)
    state = parallel.replicate((student["params"], student["batch_stats"], teacher))
    gradients, statistics, metrics = step(*state, parallel.shard_batch(images))
    leaves, _ = jax.tree_util.tree_flatten_with_path((gradients, statistics, metrics))
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def _features(tiny, parallel, teacher, student, images):
    def features(teacher, student, images):
        targets = tiny.teacher.apply(teacher, normalise(images, compute_dtype("tf32")))
        return targets, tiny.student.apply(student, targets, train=False)

    fn = parallel.wrap(features, split=(False, False, True), split_output=True)
    variables = parallel.replicate((teacher, student))
    return parallel.gather(fn(*variables, parallel.shard_batch(images)))
