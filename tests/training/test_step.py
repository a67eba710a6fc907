"""The train step: data parallelism changes nothing, and only the student learns."""

from functools import cache

import jax
import numpy as np
import pytest

from rdvar_jax.devices.parallel import MODES, Parallel
from rdvar_jax.models.teacher import normalise
from rdvar_jax.training.losses import STAGES, RDVarLoss
from rdvar_jax.training.step import (
    METRICS,
    build_optimiser,
    init_state,
    make_gradient_fn,
    make_several_steps,
    make_train_step,
)

# A large weight, so that an error in L_var's gradient cannot hide behind L_model's.
SETTINGS = RDVarLoss(lambda_var=3.0, stages=STAGES)
LEARNING_RATE, B1 = 0.005, 0.5
TX = build_optimiser(LEARNING_RATE, B1, 0.999)
CASES = [("pmap", 1), ("pmap", 4), ("shard_map", 2), ("shard_map", 4)]
MORE_CASES = [
    pytest.param(*case, marks=pytest.mark.slow) for case in (("pmap", 2), ("shard_map", 1))
]


def parallel_of(mode, num_devices):
    return Parallel(mode, tuple(jax.local_devices()[:num_devices]))


@pytest.fixture(scope="module")
def one_step(tiny):
    """(mode, devices) -> host copies of (gradients, metrics, state) after one step.

    The gradients are read off Adam's first moment, which is (1 - b1) times them after one step.
    """

    @cache
    def run(mode, num_devices):
        parallel = parallel_of(mode, num_devices)
        state, metrics = wrapped_step(tiny, parallel)(
            parallel.replicate(init_state(tiny.student_variables, TX)),
            *parallel.replicate((tiny.teacher_variables, tiny.images)),
            parallel.shard_batch(np.arange(8, dtype=np.int32)),
        )
        gradients = jax.tree.map(lambda mu: np.asarray(mu) / (1 - B1), state.opt_state[0].mu)
        return gradients, *jax.device_get((metrics, state))

    return run


def wrapped_step(tiny, parallel):
    return parallel.wrap(
        make_train_step(tiny.teacher, tiny.student, SETTINGS, TX),
        split=(False, False, False, True),
        split_output=False,
        donate_argnums=(0,),
    )


def assert_close(tree, expected, rtol):
    """Relative to the largest value of each leaf."""

    def check(path, a, b):
        scale = max(np.abs(b).max(), 1e-12)
        error = np.abs(a - b).max() / scale
        assert error < rtol, f"{jax.tree_util.keystr(path)}: {error:.1e} of {scale:.1e}"

    jax.tree_util.tree_map_with_path(check, tree, expected)


@pytest.mark.parametrize(("mode", "num_devices"), CASES + MORE_CASES)
def test_devices_and_modes_change_nothing(one_step, mode, num_devices):
    gradients, metrics, state = one_step(mode, num_devices)
    expected_gradients, expected_metrics, expected_state = one_step("pmap", 1)
    assert_close(metrics, expected_metrics, 1e-5)
    assert_close(state.batch_stats, expected_state.batch_stats, 1e-5)
    assert_close(gradients, expected_gradients, 3e-4)

    # Adam's first step is lr * sign(gradient): compare where the sign is not rounding noise.
    def check(params, expected_params, gradient):
        clear = np.abs(gradient) > 1e-3 * np.abs(gradient).max()
        difference = np.abs(params - expected_params)
        assert difference[clear].max() < 1e-3 * LEARNING_RATE
        assert difference.max() <= 2.001 * LEARNING_RATE

    jax.tree.map(check, state.params, expected_state.params, expected_gradients)


@pytest.mark.slow  # XLA on CPU takes its time for gradients of convolutions inside a loop
@pytest.mark.parametrize("mode", MODES)
def test_two_steps_in_a_call_are_two_steps(tiny, mode):
    parallel = parallel_of(mode, 2)
    batches = np.array([[0, 1, 2, 3], [7, 6, 5, 4]], np.int32)
    teacher, images = parallel.replicate((tiny.teacher_variables, tiny.images))
    state = parallel.replicate(init_state(tiny.student_variables, TX))
    step, rows = wrapped_step(tiny, parallel), []
    for batch in batches:
        state, metrics = step(state, teacher, images, parallel.shard_batch(batch))
        rows.append(jax.device_get(metrics))
    expected = jax.device_get(state)

    several = parallel.wrap(
        make_several_steps(make_train_step(tiny.teacher, tiny.student, SETTINGS, TX)),
        split=(False, False, False, True),
        split_output=False,
        donate_argnums=(0,),
    )
    state, metrics = several(
        parallel.replicate(init_state(tiny.student_variables, TX)),
        teacher,
        images,
        parallel.shard_batch(batches.T),
    )
    for i, row in enumerate(rows):
        assert_close({name: metrics[name][i] for name in METRICS}, row, 1e-4)
    assert state.step == 2
    # Where a gradient is rounding noise Adam may step anywhere, and the second step sees it.
    assert_close(jax.device_get(state.batch_stats), expected.batch_stats, 5e-3)
    assert_close(jax.device_get(state.epoch_sums), expected.epoch_sums, 1e-4)


def test_a_call_takes_its_batches_in_order():
    """Several steps of any step function, one device's share [b, K] at a time."""

    def step(seen, teacher_variables, data, indices):
        return seen * 10 + data[indices].sum() * teacher_variables, indices

    batches = np.array([[0, 1], [2, 3], [4, 0]], np.int32)
    data = np.array([1, 0, 2, 0, 3], np.int32)
    seen, metrics = make_several_steps(step)(
        np.int32(0), np.int32(1), jax.device_put(data), batches.T
    )
    assert int(seen) == 124
    np.testing.assert_array_equal(metrics, batches)


def test_the_optimiser_is_torchs_adam():
    """Against Adam as Kingma and Ba write it, in float64; b1 and b2 differ much in their effect."""
    rate, b1, b2, epsilon = 0.01, 0.5, 0.9, 1e-8
    tx = build_optimiser(rate, b1, b2)
    # The small gradients are those that epsilon would change.
    gradients = np.array([[3.0, -1e-5], [-1.0, 2e-6], [0.5, 1e-5]], np.float32)
    params, first, second = np.zeros(2), np.zeros(2), np.zeros(2)
    ours = jax.device_put(np.zeros(2, np.float32))
    state = tx.init(ours)
    for step, gradient in enumerate(gradients, start=1):
        first = b1 * first + (1 - b1) * gradient.astype(np.float64)
        second = b2 * second + (1 - b2) * gradient.astype(np.float64) ** 2
        unbiased = first / (1 - b1**step), second / (1 - b2**step)
        params -= rate * unbiased[0] / (np.sqrt(unbiased[1]) + epsilon)
        with jax.numpy_dtype_promotion("standard"):
            updates, state = tx.update(jax.device_put(gradient), state, ours)
        ours = ours + updates
    np.testing.assert_allclose(ours, params, rtol=1e-4)


def test_gradients_are_those_of_the_plain_loss(tiny, one_step):
    """Against `jax.grad` of the loss without any mapped axis."""
    student = tiny.student.clone(axis_name=None)
    targets = tiny.teacher.apply(tiny.teacher_variables, normalise(tiny.images))
    stats = tiny.student_variables["batch_stats"]

    def loss_fn(params):
        variables = {"params": params, "batch_stats": stats}
        features, _ = student.apply(variables, targets, train=True, mutable=["batch_stats"])
        return SETTINGS(targets, features)[0]

    expected = jax.jit(jax.grad(loss_fn))(tiny.student_variables["params"])
    for case in CASES:
        assert_close(one_step(*case)[0], jax.device_get(expected), 3e-4)


def test_a_forgotten_mean_is_refused_by_the_replication_check(tiny):
    parallel = parallel_of("shard_map", 2)
    fn = parallel.wrap(lambda x: x.sum(), split=(True,), split_output=False)
    with pytest.raises(ValueError, match="replicat|vary"):
        fn(parallel.shard_batch(np.ones(4, np.float32)))


def test_state_counts_and_sums(one_step):
    _, metrics, state = one_step("pmap", 1)
    assert state.step == 1
    assert state.epoch_sums["count"] == 1
    assert set(metrics) == set(METRICS)
    for name in METRICS:
        assert state.epoch_sums[name] == pytest.approx(float(metrics[name]), rel=1e-5)


def test_the_teacher_is_no_part_of_the_state(tiny):
    state = init_state(tiny.student_variables, TX)
    num_student = sum(x.size for x in jax.tree.leaves(tiny.student_variables["params"]))
    assert sum(x.size for x in jax.tree.leaves(state.params)) == num_student
    moments = [x for x in jax.tree.leaves(state.opt_state) if x.ndim > 0]
    assert sum(x.size for x in moments) == 2 * num_student


def test_no_gradient_flows_into_the_teacher(tiny):
    parallel = parallel_of("pmap", 1)
    gradient_fn = make_gradient_fn(tiny.teacher, tiny.student, SETTINGS)

    def loss_of_teacher(teacher_variables, student, images):
        args = student["params"], student["batch_stats"], teacher_variables, images
        return gradient_fn(*args)[2]["loss"]

    fn = parallel.wrap(jax.grad(loss_of_teacher), split=(False, False, True), split_output=False)
    variables = parallel.replicate((tiny.teacher_variables, tiny.student_variables))
    gradient = fn(*variables, parallel.shard_batch(tiny.images))
    assert all((np.asarray(g) == 0).all() for g in jax.tree.leaves(gradient))


def test_the_state_is_donated_and_the_host_sends_indices_only(tiny):
    parallel = parallel_of("pmap", 1)
    state = parallel.replicate(init_state(tiny.student_variables, TX))
    args = parallel.replicate((tiny.teacher_variables, tiny.images))
    with jax.transfer_guard("disallow"):
        indices = parallel.shard_batch(np.arange(8, dtype=np.int32))
        new, _ = wrapped_step(tiny, parallel)(state, *args, indices)
    assert jax.tree.leaves(state.params)[0].is_deleted()
    assert int(new.step) == 1


def test_the_first_state_is_that_of_the_optimiser(tiny):
    found = init_state(tiny.student_variables, TX).opt_state
    expected = TX.init(tiny.student_variables["params"])
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
