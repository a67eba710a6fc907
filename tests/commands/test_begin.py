"""A training that cannot begin leaves nothing, so that its advice can be followed."""

import os
from unittest.mock import Mock

import pytest
from rdvar_process import assert_one_sentence

from rdvar_jax.errors import CheckpointError, UserError
from rdvar_jax.runs.workdir import check_writable
from rdvar_jax.weights import catalogue


def test_a_failed_download_leaves_nothing_and_its_advice_works(rdvar, tmp_path, monkeypatch):
    workdir = tmp_path / "run"
    monkeypatch.setattr(catalogue, "BASE_URL", "http://127.0.0.1:9/")  # nobody listens
    environment = {"TORCH_HOME": str(tmp_path / "torch"), "XDG_CACHE_HOME": str(tmp_path)}
    args = rdvar.train_args(workdir, "--config.teacher.weights=", "--config.teacher.stem_width=64")
    failed = rdvar.run(*args, **environment)
    assert_one_sentence(failed, "could not be downloaded", "set teacher.weights to a file")
    assert not workdir.exists()
    # Another setting, as it says: before, the folder was bound to the first ones. That training
    # begins is enough, since the rest of it takes seconds.
    begun = UserError("begun")
    monkeypatch.setattr("rdvar_jax.commands.train.Trainer", Mock(side_effect=begun))
    assert_one_sentence(rdvar.train(workdir), "begun")
    assert (workdir / "config.json").exists() and (workdir / "teacher.safetensors").exists()


def test_images_that_cannot_be_read_leave_nothing(rdvar, tmp_path):
    args = rdvar.train_args(tmp_path / "run")
    (tmp_path / "set" / "tile" / "train" / "good").mkdir(parents=True)
    (tmp_path / "set" / "tile" / "train" / "good" / "a.png").write_bytes(b"no image")
    args = (*args, f"--config.data.root={tmp_path / 'set'}", "--config.data.layout=folder")
    assert_one_sentence(rdvar.run(*args, "--config.train.epochs=99"), "a.png")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written_is_refused_at_the_start(tmp_path, monkeypatch):
    check_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="file is a file, not a folder; give another"):
        check_writable(tmp_path / "file" / "run")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(CheckpointError, match=r"run cannot be written \(Permission denied, or"):
        check_writable(tmp_path / "run")
