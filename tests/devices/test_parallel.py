"""Wrapped functions: made once for the same arguments, and right sums on CPU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdvar_jax.devices.parallel import MODES, Parallel, made_once
from rdvar_jax.models.build import build_student, build_teacher
from rdvar_jax.scoring.scores import make_prepare_fn, make_score_step
from rdvar_jax.training.losses import RDVarLoss
from rdvar_jax.training.step import build_optimiser, make_train_step


def test_equal_arguments_give_the_same_function():
    @made_once
    def make(a, b=1):
        return lambda: (a, b)

    assert make((1, 2)) is make((1, 2))
    assert make(1) is not make(2) and make(2, b=3)() == (2, 3)
    before = make(1)
    make.forget()
    assert make(1) is not before


def test_what_has_no_hash_is_made_anew():
    @made_once
    def make(values, *, more=()):
        return lambda: (values, more)

    assert make([1]) is not make([1]) and make([1])() == ([1], ())
    assert make(1, more=[2])() == (1, [2])


@pytest.mark.parametrize("mode", MODES)
def test_a_function_is_traced_once_for_all_who_wrap_it_alike(mode):
    traced = []

    def double(x):
        traced.append(x.shape)
        return x * 2

    def of(num_devices):
        parallel = Parallel(mode, tuple(jax.local_devices()[:num_devices]))
        fn = parallel.wrap(double, split=[True], split_output=True)
        return parallel.gather(fn(parallel.shard_batch(np.arange(4, dtype=np.float32))))

    for _ in range(3):
        np.testing.assert_array_equal(of(2), [0, 2, 4, 6])
    once = len(traced)
    np.testing.assert_array_equal(of(4), [0, 2, 4, 6])
    assert once >= 1 and len(traced) == 2 * once  # other devices are another program


def test_networks_that_are_built_alike_share_their_functions():
    def made(lambda_var=0.1, width=4, num_devices=1):
        teacher, student = build_teacher("resnet18", width), build_student("resnet18", width)
        parallel = Parallel("pmap", tuple(jax.local_devices()[:num_devices]))
        tx = build_optimiser(0.005, 0.5, 0.999)
        return (
            make_train_step(teacher, student, RDVarLoss(lambda_var), tx),
            make_score_step(teacher, student, (32, 32)),
            make_prepare_fn(teacher, student, (32, 32), 4, parallel),
        )

    first = made()
    assert all(a is b for a, b in zip(first, made(), strict=True))
    assert [a is b for a, b in zip(first, made(lambda_var=0.2), strict=True)] == [False, True, True]
    assert [a is b for a, b in zip(first, made(num_devices=2), strict=True)] == [True, True, False]
    assert not any(a is b for a, b in zip(first, made(width=8), strict=True))


@pytest.mark.parametrize("spans_processes", [False, True])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rows", [1, 17, 4097, 32768, 32769, 65537])
def test_sums_over_small_axes_are_right(mode, rows, spans_processes, monkeypatch):
    """jaxlib 0.10.2 gets the last row of 32769 wrong where YNNPACK reduces (jax-ml/jax#39103)."""
    # As if these devices were some of those of a job: both modes have the options there too.
    monkeypatch.setattr(Parallel, "spans_processes", spans_processes)
    values = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
    expected = (values.astype(np.float64) ** 2).sum(1)
    parallel = Parallel(mode, tuple(jax.local_devices()[:1]))

    def sums(x):
        return jax.vmap(lambda row: jnp.sum((jnp.eye(3, dtype=x.dtype) @ row) ** 2))(x)

    fn = parallel.wrap(sums, split=[True], split_output=True)
    found = parallel.gather(fn(parallel.shard_batch(values)))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
