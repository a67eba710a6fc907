"""STFPM against PyTorch's numbers in its golden file, from `tools/torch_reference/stfpm.py`.

As in test_golden.py: float64 results, and differences relative to the largest element.
"""

from contextlib import nullcontext
from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from differences import assert_close, named
from golden_files import like_sampled, read_golden
from library_model import COMPILER_OPTIONS, LAYERS, LOSS_PARTS, double_precision
from student_names import under

from rdvar_jax.devices.parallel import AXIS_NAME, Parallel
from rdvar_jax.models.build import image_shape
from rdvar_jax.models.initialise import abstract_variables
from rdvar_jax.models.stfpm import PyramidStudent
from rdvar_jax.models.teacher import Teacher, normalise
from rdvar_jax.runs.presets import preset
from rdvar_jax.scoring.scores import make_score_step
from rdvar_jax.training.losses import STAGES
from rdvar_jax.training.step import build_optimiser, init_state, make_train_step
from rdvar_jax.weights.name_map import to_flax, to_torch

GOLDEN = read_golden("stfpm")
SHAPE = (GOLDEN.architecture, GOLDEN.stem_width)
SIZE = GOLDEN.batches[0].shape[1]
TEACHER, STUDENT = Teacher(*SHAPE), PyramidStudent(*SHAPE, AXIS_NAME)


def variables() -> tuple[dict, dict]:
    """Those of teacher and student."""
    expected = abstract_variables(TEACHER, image_shape(SIZE))
    teacher, network = (
        to_flax(under(GOLDEN.weights, name), expected, source=name)
        for name in ("teacher", "student")
    )
    return teacher, {collection: {"network": tree} for collection, tree in network.items()}


def to_names(tree) -> dict:
    """Torch's names of one collection of the student's variables, and torch's layouts."""
    return to_torch({"params": tree["network"]})


@cache
def forward() -> dict:
    lone = PyramidStudent(*SHAPE)
    score_step = make_score_step(TEACHER, lone, SIZE, sigma=0.0)

    @partial(jax.jit, compiler_options=COMPILER_OPTIONS)
    def compute(teacher, student, images):
        x = normalise(images)
        found = dict(zip((f"teacher/{x}" for x in LAYERS), TEACHER.apply(teacher, x), strict=True))
        features = lone.apply(student, x, train=False)
        trained, _ = lone.apply(student, x, train=True, mutable=["batch_stats"])
        for mode, maps in (("eval", features), ("train", trained)):
            found |= {
                f"student/{mode}/{stage}": each for stage, each in zip(STAGES, maps, strict=True)
            }
        found = {name: x.transpose(0, 3, 1, 2) for name, x in found.items()}
        maps, scores = score_step(teacher, student, images)
        return found | {"maps": maps, "scores": scores}

    return jax.device_get(compute(*variables(), GOLDEN.batches[0]))


def steps(dtype: type) -> dict:
    """The quantities of train steps with the optimiser of the preset."""
    train = preset("stfpm").train
    rate, momentum = train.learning_rate, train.beta1
    tx = build_optimiser(rate, momentum, train.beta2, train.optimiser, train.weight_decay)
    found = {}
    start = variables()  # float32 modules
    with double_precision() if dtype == np.float64 else nullcontext():
        parallel = Parallel("pmap", tuple(jax.local_devices()[:1]))
        teacher, student = parallel.replicate(jax.tree.map(lambda x: np.asarray(x, dtype), start))
        settings = next(iter(GOLDEN.losses.values()))

        def step_fn(state, teacher_variables, data, indices, lambda_var):
            loss = replace(settings, lambda_var=lambda_var)  # traced: compiled once for all
            return make_train_step(TEACHER, STUDENT, loss, tx)(
                state, teacher_variables, data, indices
            )

        split = (False, False, False, True, False)
        step = parallel.wrap(step_fn, split=split, split_output=False)
        for label, loss in GOLDEN.losses.items():
            assert replace(loss, lambda_var=settings.lambda_var) == settings
            state, parts = parallel.replicate(init_state(student, tx)), []
            for index, batch in enumerate(GOLDEN.batches):
                indices = parallel.shard_batch(np.arange(len(batch), dtype=np.int32))
                state, metrics = step(state, teacher, batch, indices, jnp.asarray(loss.lambda_var))
                parts.append([metrics[name] for name in LOSS_PARTS])
                if index == 0:
                    # What SGD remembers of one step is the gradient and the decayed parameters.
                    trace: Any = jax.tree.leaves(state.opt_state, is_leaf=is_trace)[0].trace
                    gradients = jax.tree.map(
                        lambda sum_, old: np.asarray(sum_) - train.weight_decay * np.asarray(old),
                        trace,
                        student["params"],
                    )
                    found |= prefixed(f"gradient/{label}", to_names(gradients))
            updates = jax.tree.map(
                lambda new, old: np.asarray(new) - np.asarray(old), state.params, student["params"]
            )
            found |= prefixed(f"steps/{label}/update", to_names(updates))
            statistics = to_torch({"batch_stats": state.batch_stats["network"]})
            found |= prefixed(f"steps/{label}/statistics", statistics)
            columns = dict(zip(LOSS_PARTS, np.array(parts).T, strict=True))
            found |= prefixed(f"steps/{label}", columns)
    return {name: like_sampled(x, GOLDEN.values[name]) for name, x in found.items()}


def is_trace(node: object) -> bool:
    return isinstance(node, optax.TraceState)


def prefixed(prefix: str, arrays: dict) -> dict:
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


@pytest.mark.parametrize(
    ("prefix", "tolerance"),
    [
        ("teacher", 2e-6),
        ("student/eval", 2e-6),
        ("student/train", 1e-5),
        ("maps", 5e-6),
        ("scores", 5e-6),
    ],
)
def test_features_maps_and_scores(prefix, tolerance):
    assert_close(named(forward(), prefix), named(GOLDEN.values, prefix), tolerance)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [pytest.param(np.float64, 2e-7, marks=pytest.mark.slow), (np.float32, 1e-3)],
)
def test_three_steps(dtype, tolerance):
    ours = steps(dtype)
    for prefix in ("gradient/", "steps/"):
        assert_close(named(ours, prefix), named(GOLDEN.values, prefix), tolerance)
