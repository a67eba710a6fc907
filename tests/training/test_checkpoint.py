"""Checkpoints: a saved state is restored bit for bit, and damage is never loaded."""

import json
import logging
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import SingleDeviceSharding

from rdvar_jax.errors import CheckpointError
from rdvar_jax.training.checkpoint import MANIFEST, Checkpoints
from rdvar_jax.training.step import TrainState, build_optimiser, init_state

TX = build_optimiser(0.1, 0.5, 0.999)
IDENTITY = {"settings": {"a.b": 1}, "data": "d", "teacher": "t"}


def make_state(step: int) -> TrainState:
    rng = np.random.default_rng(step)
    variables = {
        "params": {"conv": {"kernel": rng.random((3, 4), np.float32)}},
        "batch_stats": {"bn": {"mean": rng.random(4, np.float32)}},
    }
    state = init_state(variables, TX)
    values = {**vars(state), "step": jnp.asarray(step, jnp.int32)}
    return jax.tree.map(jnp.asarray, TrainState(**values))


def abstract(device=0):
    sharding = SingleDeviceSharding(jax.local_devices()[device])
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), make_state(0)
    )


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoints", "train_loss", higher_is_better=False)


def save(checkpoints, step, loss=None):
    metrics = {} if loss is None else {"train_loss": loss}
    checkpoints.save(make_state(step), epoch=step / 10, metrics=metrics, provenance=IDENTITY)


def restored_step(checkpoints, which="latest"):
    state, saved = checkpoints.restore(abstract(), which)
    assert int(state.step) == saved.step
    expected = make_state(saved.step)
    assert jax.tree.all(jax.tree.map(np.array_equal, state, expected))
    return saved.step


def a_data_file(checkpoints, step):
    files = [p for p in (checkpoints.folder / str(step)).rglob("*") if p.is_file()]
    return max((p for p in files if p.name != MANIFEST), key=lambda p: p.stat().st_size)


def test_nothing_saved_is_none(checkpoints):
    assert checkpoints.restore(abstract()) is None
    assert checkpoints.find() is None


def test_round_trip_is_exact_and_keeps_what_the_run_was(checkpoints):
    save(checkpoints, 10, loss=0.5)
    assert restored_step(checkpoints) == 10
    saved = checkpoints.find()
    assert (saved.epoch, saved.metrics, saved.provenance) == (1.0, {"train_loss": 0.5}, IDENTITY)
    assert len(saved.sha256) == 64


def test_restores_onto_another_device(checkpoints):
    save(checkpoints, 10)
    state, _ = checkpoints.restore(abstract(device=3))
    assert state.params["conv"]["kernel"].devices() == {jax.local_devices()[3]}


def test_two_latest_and_the_best_are_kept(checkpoints):
    for step, loss in ((10, 3.0), (20, 1.0), (30, 2.0), (40, 2.5), (50, 2.6)):
        save(checkpoints, step, loss)
    kept = sorted(int(p.name) for p in checkpoints.folder.iterdir() if p.name.isdigit())
    assert kept == [20, 40, 50]
    assert restored_step(checkpoints, "latest") == 50
    assert restored_step(checkpoints, "best") == 20


def test_higher_can_be_better(tmp_path):
    checkpoints = Checkpoints(tmp_path, "test_image_auroc", higher_is_better=True)
    for step, value in ((1, 0.5), (2, 0.9), (3, 0.7)):
        metrics = {"test_image_auroc": value}
        checkpoints.save(make_state(step), epoch=step, metrics=metrics, provenance=IDENTITY)
    assert restored_step(checkpoints, "best") == 2


def test_a_stop_inside_an_epoch_is_latest_but_never_best(checkpoints):
    save(checkpoints, 10, loss=9.0)
    save(checkpoints, 13)
    assert restored_step(checkpoints, "latest") == 13
    assert restored_step(checkpoints, "best") == 10


def test_saving_a_step_again_keeps_the_first(checkpoints):
    save(checkpoints, 10, loss=1.0)
    before = checkpoints.find()
    save(checkpoints, 10, loss=1.0)
    assert checkpoints.find() == before


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", ["bit", "truncate", "delete"])
def test_damage_falls_back_to_the_step_before_and_says_so(checkpoints, damage, caplog):
    save(checkpoints, 10)
    save(checkpoints, 20)
    path = a_data_file(checkpoints, 20)
    if damage == "bit":
        flip_a_bit(path)
    elif damage == "truncate":
        path.write_bytes(path.read_bytes()[:10])
    else:
        path.unlink()
    with caplog.at_level(logging.WARNING, "rdvar_jax"):
        assert restored_step(checkpoints) == 10
    assert "checkpoint 20 is damaged" in caplog.text

    # Training on moves it aside, so that step 20 can be saved again.
    checkpoints.set_aside_unfinished()
    assert (checkpoints.folder.parent / "checkpoints_damaged" / "20").is_dir()
    save(checkpoints, 20)
    assert restored_step(checkpoints) == 20


def test_all_damaged_is_one_sentence(checkpoints):
    save(checkpoints, 10)
    flip_a_bit(a_data_file(checkpoints, 10))
    with pytest.raises(
        CheckpointError, match=r"no checkpoint in .* is intact .*restore the folder"
    ):
        checkpoints.restore(abstract())


def test_a_save_that_was_cut_off_is_not_taken_for_a_checkpoint(checkpoints):
    save(checkpoints, 10)
    save(checkpoints, 20)
    (checkpoints.folder / "20" / MANIFEST).unlink()  # killed just before the manifest
    shutil.copytree(checkpoints.folder / "10", checkpoints.folder / "30.orbax-checkpoint-tmp")
    assert restored_step(checkpoints) == 10
    checkpoints.set_aside_unfinished()
    save(checkpoints, 20)
    assert restored_step(checkpoints) == 20


def test_an_unreadable_manifest_is_one_sentence(checkpoints):
    save(checkpoints, 10)
    (checkpoints.folder / "10" / MANIFEST).write_text("{")
    with pytest.raises(CheckpointError, match=r"manifest.json cannot be read.*remove the folder"):
        checkpoints.find()


def test_a_disk_that_refuses_is_one_sentence_and_keeps_what_is_there(checkpoints, monkeypatch):
    save(checkpoints, 10)

    def refuse(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rdvar_jax.training.checkpoint.ocp.CheckpointManager", refuse)
    with pytest.raises(CheckpointError, match="step 20 cannot be written.*No space left"):
        save(checkpoints, 20)
    monkeypatch.undo()
    assert restored_step(checkpoints) == 10


def test_the_manifest_lists_every_file(checkpoints):
    save(checkpoints, 10)
    folder = checkpoints.folder / "10"
    listed = set(json.loads((folder / MANIFEST).read_text())["files"])
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert listed == found - {MANIFEST}
