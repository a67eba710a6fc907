"""Checkpoints: a saved state is restored bit for bit, and damage is never loaded."""

import json
import logging
import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import SingleDeviceSharding

from rdvar_jax.errors import CheckpointError
from rdvar_jax.training import checkpoint, orbax_files
from rdvar_jax.training.checkpoint import MANIFEST, UNFINISHED, Checkpoints
from rdvar_jax.training.step import TrainState, build_optimiser, init_state
from rdvar_jax.training.student_arrays import STUDENT

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


@pytest.mark.parametrize(
    ("where", "moment"),
    [
        (checkpoint, "find_damage"),
        (checkpoint, "read_student_arrays"),
        (orbax_files, "read_arrays"),
    ],
)
def test_a_state_that_training_removes_while_it_is_read(
    checkpoints, monkeypatch, caplog, where, moment
):
    """An evaluation reads the newest one instead, and says nothing of damage."""
    for step in (10, 20):
        save(checkpoints, step)
    read, going_on = getattr(where, moment), [30, 40]

    def read_while_training_goes_on(*args):
        while going_on:
            save(checkpoints, going_on.pop(0))
        return read(*args)

    monkeypatch.setattr(where, moment, read_while_training_goes_on)
    student = {name: vars(abstract())[name] for name in STUDENT}
    if where is orbax_files:
        assert restored_step(checkpoints) == 40
    else:
        _, saved = checkpoints.restore_student(student, abstract)
        assert saved.step == 40
    assert "damaged" not in caplog.text


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


def test_a_save_that_was_cut_off_is_not_taken_for_a_checkpoint(checkpoints, monkeypatch):
    save(checkpoints, 10)
    replace, rmtree = os.replace, shutil.rmtree

    def die(source, target):  # at the last moment, and nothing is cleaned up
        if str(target).endswith("/20"):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", die)
    monkeypatch.setattr(shutil, "rmtree", lambda *args, **options: None)
    with pytest.raises(KeyboardInterrupt):
        save(checkpoints, 20)
    monkeypatch.undo()
    unfinished = checkpoints.folder / UNFINISHED
    assert (unfinished / "20" / MANIFEST).exists() and rmtree is shutil.rmtree
    assert restored_step(checkpoints) == 10
    # As earlier versions left it.
    shutil.copytree(checkpoints.folder / "10", checkpoints.folder / "30.orbax-checkpoint-tmp")
    checkpoints.set_aside_unfinished()
    assert [path.name for path in checkpoints.folder.iterdir()] == ["10"]
    save(checkpoints, 20)
    assert restored_step(checkpoints) == 20


def test_a_step_without_its_manifest_is_kept_and_named(checkpoints, caplog):
    save(checkpoints, 10)
    save(checkpoints, 20)
    content = tree_of(checkpoints.folder / "20")
    for number in range(2):  # the second one does not replace the first
        (checkpoints.folder / "20" / MANIFEST).unlink()
        with caplog.at_level(logging.WARNING, "rdvar_jax"):
            assert restored_step(checkpoints) == 10
        assert "checkpoint 20 is damaged (manifest.json is missing); trying" in caplog.text
        checkpoints.set_aside_unfinished()
        aside = checkpoints.folder.parent / "checkpoints_damaged" / ("20", "20_2")[number]
        assert {**tree_of(aside), MANIFEST: content[MANIFEST]} == content
        save(checkpoints, 20)
        content = tree_of(checkpoints.folder / "20")


def test_a_manifest_that_vanishes_during_training_costs_no_checkpoint(checkpoints):
    for step in (10, 20, 30):
        save(checkpoints, step)
    (checkpoints.folder / "20" / MANIFEST).unlink()
    (checkpoints.folder / "30" / MANIFEST).unlink()
    save(checkpoints, 30)
    save(checkpoints, 40)
    save(checkpoints, 50)
    assert {p.name for p in checkpoints.folder.iterdir()} == {"20", "40", "50"}
    assert (checkpoints.folder.parent / "checkpoints_damaged" / "30").is_dir()


def tree_of(folder):
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


DAMAGED_MANIFESTS = {
    "{": "it is not JSON: Expecting property name",
    "": "it is empty",
    "[1]": "it is not a JSON object",
    "[" * 100_000: "it is nested too deeply",
    '{"step": NaN}': "it holds NaN",
    '{"step": 1e999}': "Out of range float",
    '{"step": %s}' % ("9" * 5000): "it holds a number of 5000 digits",
    '{"step": 10}': "epoch is missing",
}


@pytest.mark.parametrize(("text", "reason"), DAMAGED_MANIFESTS.items(), ids=range(8))
def test_a_damaged_manifest_falls_back_and_never_stops_others(checkpoints, caplog, text, reason):
    save(checkpoints, 10, loss=1.0)
    save(checkpoints, 20, loss=2.0)
    newest, oldest = (checkpoints.folder / step / MANIFEST for step in ("20", "10"))
    content = newest.read_bytes()
    newest.write_text(text)
    with caplog.at_level(logging.WARNING, "rdvar_jax"):
        assert checkpoints.find().step == 10
        assert restored_step(checkpoints) == 10
    assert "checkpoint 20 is damaged (manifest.json: " in caplog.text and reason in caplog.text
    newest.write_bytes(content)
    oldest.write_text(text)
    caplog.clear()
    with caplog.at_level(logging.WARNING, "rdvar_jax"):
        assert restored_step(checkpoints) == 20
        assert not [r for r in caplog.records if r.name == "rdvar_jax"]  # not needed: not named
        assert restored_step(checkpoints, "best") == 20
    assert "checkpoint 10 is damaged" in caplog.text  # it may have been better


def test_a_flipped_bit_of_a_manifest_is_noticed(checkpoints):
    save(checkpoints, 10, loss=0.5)
    path = checkpoints.folder / "10" / MANIFEST
    content = path.read_bytes()
    expected = checkpoints.find()
    rng = np.random.default_rng(0)
    for bit in rng.choice(8 * len(content), 100, replace=False).tolist():
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            assert checkpoints.find() == expected, bit  # such as another case of an exponent
        except CheckpointError as error:
            assert "no checkpoint in" in str(error)


def test_a_manifest_of_another_step_is_refused(checkpoints):
    save(checkpoints, 10)
    save(checkpoints, 20)
    shutil.copy(checkpoints.folder / "10" / MANIFEST, checkpoints.folder / "20" / MANIFEST)
    assert restored_step(checkpoints) == 10


def test_where_none_is_intact_nothing_is_moved(checkpoints):
    save(checkpoints, 10)
    save(checkpoints, 20)
    (checkpoints.folder / "10" / MANIFEST).write_text("{")
    (checkpoints.folder / "20" / MANIFEST).unlink()
    before = tree_of(checkpoints.folder)
    for call in (checkpoints.find, checkpoints.set_aside_unfinished):
        with pytest.raises(
            CheckpointError, match=r"no checkpoint in .* is intact \(step 20: manifest\.json is mis"
        ):
            call()
    assert tree_of(checkpoints.folder) == before


def test_a_disk_that_refuses_is_one_sentence_and_keeps_what_is_there(checkpoints, monkeypatch):
    save(checkpoints, 10)

    def refuse(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rdvar_jax.training.orbax_files.ocp.CheckpointManager", refuse)
    with pytest.raises(CheckpointError, match="step 20, .* disk is full; step 10 is kept: make"):
        save(checkpoints, 20)
    monkeypatch.undo()
    assert restored_step(checkpoints) == 10


def test_the_manifest_lists_every_file(checkpoints):
    save(checkpoints, 10)
    folder = checkpoints.folder / "10"
    listed = set(json.loads((folder / MANIFEST).read_text())["files"])
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert listed == found - {MANIFEST}
