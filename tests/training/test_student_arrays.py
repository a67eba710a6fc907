"""The student's arrays, read without orbax: bit by bit what orbax reads."""

import jax
import numpy as np
import pytest

from rdvar_jax.training import student_arrays
from rdvar_jax.training.checkpoint import Checkpoints
from rdvar_jax.training.step import build_optimiser, init_state
from rdvar_jax.training.student_arrays import STUDENT, read_student_arrays

TX = build_optimiser(0.005, 0.5, 0.999)


def shapes_of(tree):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(np.shape(x), x.dtype), tree)


@pytest.fixture
def saved(tmp_path):
    """Checkpoints of one state, and the state; it has zeros, NaN and many values."""
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((3, 3, 4, 5)).astype(np.float32)
    kernel[0, 0, 0] = np.nan, -0.0, np.inf, 1e-40, 1
    params = {"a": {"conv1": {"kernel": kernel}, "bn1": {"bias": np.zeros(5, np.float32)}}}
    stats = {"a": {"bn1": {"var": np.ones(5, np.float32)}}}
    state = jax.device_put(init_state({"params": params, "batch_stats": stats}, TX))
    checkpoints = Checkpoints(tmp_path / "50%41 #?é" / "checkpoints", "train_loss", False)
    provenance = {"settings": {}, "teacher": "sha256"}
    checkpoints.save(state, epoch=1.0, metrics={"train_loss": 1.0}, provenance=provenance)
    return checkpoints, state


def assert_same_bits(found, state) -> None:
    for name in STUDENT:
        for one, other in zip(*map(jax.tree.leaves, (found[name], vars(state)[name])), strict=True):
            assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


def test_it_reads_what_was_saved(saved):
    checkpoints, state = saved
    expected = {name: shapes_of(vars(state)[name]) for name in STUDENT}
    assert_same_bits(read_student_arrays(checkpoints.folder / "0", expected), state)

    def refuse():
        raise AssertionError("the whole state is not needed")

    found, manifest = checkpoints.restore_student(expected, refuse)
    assert_same_bits(found, state)
    assert manifest == checkpoints.find()


def test_what_only_orbax_can_read_is_left_to_orbax(saved, monkeypatch):
    checkpoints, state = saved
    expected = {name: shapes_of(vars(state)[name]) for name in STUDENT}
    monkeypatch.setattr(student_arrays, "ARRAYS", "elsewhere")
    whole = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state
    )
    found, _ = checkpoints.restore_student(expected, lambda: whole)
    assert_same_bits(found, state)


@pytest.mark.parametrize("change", ["shape", "dtype", "name"])
def test_other_arrays_than_expected_are_not_read(saved, change):
    checkpoints, state = saved
    expected = {name: shapes_of(vars(state)[name]) for name in STUDENT}
    norm = expected["params"]["a"]["bn1"]
    if change == "name":
        norm["scale"] = norm.pop("bias")
    else:
        other = ((6,), np.float32) if change == "shape" else ((5,), np.int32)
        norm["bias"] = jax.ShapeDtypeStruct(*other)
    assert read_student_arrays(checkpoints.folder / "0", expected) is None


def test_nothing_saved_is_nothing_read(tmp_path):
    assert Checkpoints(tmp_path, "train_loss", False).restore_student({}, lambda: None) is None
