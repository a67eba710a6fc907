"""Locks of folders and files: one holder, released by a kill, and no trace at the end."""

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import filelock
import pytest

from rdvar_jax.errors import InUseError
from rdvar_jax.files.locks import (
    NAMES,
    OUTPUT,
    RESULTS,
    TRAINING,
    is_free,
    locked_file,
    locked_folder,
)

WAY_OUT = "give another"


def take(folder: Path, name: str = OUTPUT) -> None:
    with locked_folder(folder, name, WAY_OUT):
        pass


def test_the_second_is_told_at_once_who_holds_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/rdvar", "predict", "--input", "a b\n"])
    with locked_folder(tmp_path, OUTPUT, WAY_OUT):
        with pytest.raises(InUseError) as error:
            take(tmp_path)
    said = str(error.value)
    assert said.startswith(f"{tmp_path} is in use by another process (pid {os.getpid()} on ")
    assert said.endswith(r": rdvar predict --input 'a b\n'); give another.")
    take(tmp_path)  # free again


def test_of_two_threads_one_gets_it(tmp_path):
    start, got, refused = threading.Barrier(8), [], []

    def work() -> None:
        start.wait()
        try:
            with locked_folder(tmp_path / "new", OUTPUT, WAY_OUT):
                got.append(1)
                start.wait()  # until all have tried
        except InUseError as error:
            refused.append(str(error))
            start.wait()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 7)
    assert list((tmp_path / "new").glob("*")) == []


def test_a_lock_is_for_one_purpose_and_leaves_no_trace(tmp_path):
    with locked_folder(tmp_path / "new" / "run", TRAINING, WAY_OUT):
        take(tmp_path / "new" / "run", RESULTS)
        assert is_free(tmp_path / "new" / "run")
        (tmp_path / "new" / "run" / "config.json").touch()
        assert not is_free(tmp_path / "new" / "run")
    assert os.listdir(tmp_path / "new" / "run") == ["config.json"]
    take(tmp_path / "another")
    assert os.listdir(tmp_path) == ["new"]
    with locked_file(tmp_path / "part.rdvar", WAY_OUT):
        with pytest.raises(InUseError, match=r"part\.rdvar is in use"):
            with locked_file(tmp_path / "part.rdvar", WAY_OUT):
                pass
        with locked_file(tmp_path / "other.rdvar", WAY_OUT):
            pass
    assert os.listdir(tmp_path) == ["new"]


def test_a_lock_s_file_that_a_kill_left_means_nothing(tmp_path):
    for name in NAMES:
        (tmp_path / name).write_text(json.dumps({"pid": 1, "host": "gone", "command": "x"}))
        take(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', "\0", '{"pid": 1, "host": "h"}'])
def test_an_unreadable_holder_is_another_process(tmp_path, text):
    with locked_folder(tmp_path, OUTPUT, WAY_OUT):
        (tmp_path / OUTPUT).write_text(text)
        with pytest.raises(InUseError, match="in use by another process; give another"):
            take(tmp_path)


def test_without_locks_of_the_file_system_there_is_a_warning(tmp_path, monkeypatch, caplog):
    def acquire(self, *_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    with caplog.at_level(logging.WARNING, "rdvar_jax"), locked_folder(tmp_path, OUTPUT, WAY_OUT):
        assert list(tmp_path.iterdir()) == []
    assert "has no locks (No locks available), so make sure that no other process" in caplog.text


def test_a_folder_that_cannot_be_made_is_the_caller_s_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        take(tmp_path / "file")
    with pytest.raises(FileNotFoundError), locked_file(tmp_path / "no" / "x.png", WAY_OUT):
        pass
    assert os.listdir(tmp_path) == ["file"]


def test_a_kill_releases_it(tmp_path):
    # A process, to be killed; it loads only this module.
    code = (
        "import pathlib, sys, time\nfrom rdvar_jax.files.locks import locked_folder\n"
        f"with locked_folder(pathlib.Path(sys.argv[1]), {OUTPUT!r}, {WAY_OUT!r}):\n"
        "    print('locked', flush=True)\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "locked\n"
        with pytest.raises(InUseError, match=rf"another process \(pid {process.pid} on .*: -c"):
            take(tmp_path)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert is_free(tmp_path) and os.listdir(tmp_path) == [OUTPUT]
        take(tmp_path)
