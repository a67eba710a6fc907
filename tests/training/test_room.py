"""Room for a checkpoint is tried first, and threads of a failed save stay silent."""

import errno
import logging
import os
import sys
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from rdvar_jax.errors import CheckpointError
from rdvar_jax.training import room
from rdvar_jax.training.checkpoint import MANIFEST, Checkpoints
from rdvar_jax.training.room import check_room, silence_threads
from rdvar_jax.training.step import TrainState


def refuse(number: int):
    def call(*args, **options):
        raise OSError(number, os.strerror(number))

    return call


def test_room_that_is_there_leaves_nothing_behind(tmp_path):
    check_room(tmp_path, 10**6)
    check_room(tmp_path, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_missing_room_is_an_error_with_the_folder(tmp_path, monkeypatch, number):
    monkeypatch.setattr(os, "posix_fallocate", refuse(number))
    with pytest.raises(OSError) as caught:
        check_room(tmp_path, 10)
    assert (caught.value.errno, caught.value.filename) == (number, str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_file_systems_that_cannot_allocate_are_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", refuse(errno.EOPNOTSUPP))
    check_room(tmp_path, 10)
    monkeypatch.delattr(os, "posix_fallocate")
    check_room(tmp_path, 10)


def test_too_few_open_files_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.open", refuse(errno.EMFILE))
    with pytest.raises(OSError) as caught:
        check_room(tmp_path, 10)
    assert caught.value.errno == errno.EMFILE


def test_a_save_without_room_is_one_sentence_and_keeps_the_step_before(tmp_path, monkeypatch):
    leaf = jax.device_put(np.zeros(500, np.float32))

    def state(step: int) -> TrainState:
        step = jax.device_put(np.int32(step))
        return TrainState(step, {"a": leaf}, {}, (), {})

    checkpoints = Checkpoints(tmp_path / "checkpoints", "train_loss", False)
    provenance = {"settings": {}, "teacher": ""}
    about = {"epoch": 1.0, "metrics": {}, "provenance": provenance}
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", refuse(errno.ENOSPC))
        with pytest.raises(CheckpointError) as caught:
            checkpoints.save(state(5), **about)
        words = r"step 5, about 0.002 MB, cannot be written to .*checkpoints, because the disk is "
        assert caught.match(words + r"full \(.* free\); nothing was saved before: make room, then")
        assert caught.value.__cause__ is None and caught.value.__context__ is None
    checkpoints.save(state(5), **about)
    # Fails in the middle, as tensorstore does: what is there of the step is removed.
    real = room.os.replace

    def full_at_the_end(source, target):
        if str(target).endswith(MANIFEST):
            refuse(errno.EDQUOT)()
        return real(source, target)

    monkeypatch.setattr(os, "replace", full_at_the_end)
    with pytest.raises(CheckpointError, match=r"your quota.* used up; step 5 is kept: make room"):
        checkpoints.save(state(6), **about)
    assert [path.name for path in checkpoints.folder.iterdir()] == ["5"]
    monkeypatch.undo()
    checkpoints.save(state(6), **about)
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == ["5", "6"]


def test_too_many_open_files_damage_no_checkpoint(tmp_path, monkeypatch):
    leaf = jax.device_put(np.zeros(5, np.float32))
    checkpoints = Checkpoints(tmp_path / "checkpoints", "train_loss", False)
    provenance = {"settings": {}, "teacher": ""}
    state = TrainState(jax.device_put(np.int32(5)), {"a": leaf}, {}, (), {})
    checkpoints.save(state, epoch=1.0, metrics={}, provenance=provenance)
    for number in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        with monkeypatch.context() as patch:
            patch.setattr("io.open", refuse(number))
            with pytest.raises(OSError):
                checkpoints.set_aside_unfinished()
        assert [path.name for path in checkpoints.folder.iterdir()] == ["5"]


def test_only_orbaxs_tracebacks_are_dropped(monkeypatch, caplog):
    printed = []
    monkeypatch.setattr(room, "_silenced", False)
    monkeypatch.setattr(sys, "unraisablehook", printed.append)
    silence_threads()
    log, hook = logging.getLogger("asyncio"), sys.unraisablehook
    monkeypatch.setattr(log, "propagate", True)
    for error in (OSError("disk"), RuntimeError("Event loop is closed"), RuntimeError("other")):
        log.error("future: orbax %s", error, exc_info=error)
        log.error("future: mine %s", error, exc_info=error)
        for where in ("orbax", "mine"):
            hook(SimpleNamespace(exc_value=error, object=where))
    assert [record.getMessage() for record in caplog.records] == [
        "future: mine disk",
        "future: mine other",
    ]
    assert [f"{each.object} {each.exc_value}" for each in printed] == ["mine disk", "mine other"]
    log.error("orbax has no exception here")
    assert caplog.records[-1].getMessage() == "orbax has no exception here"
