"""Atomic replacement of files: the order of what happens, and what errors and kills leave."""

import csv
import errno
import io
import json
import math
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rdvar_jax.files.replacing import csv_line, replacing, write_bytes, write_json, write_text


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    return path


@pytest.fixture
def calls(monkeypatch, tmp_path) -> list[str]:
    """What is asked of the system, in order, with what it is asked for."""
    calls = []
    fsync, replace = os.fsync, os.replace

    def recorded_fsync(handle):
        is_folder = stat.S_ISDIR(os.fstat(handle).st_mode)
        expected = tmp_path if is_folder else tmp_path / ".a.json.tmp"
        assert os.path.samestat(os.fstat(handle), os.stat(expected))
        calls.append("fsync folder" if is_folder else f"fsync file of {os.fstat(handle).st_size}")
        fsync(handle)

    def recorded_replace(source, target):
        calls.append(f"replace {Path(source).name} {Path(target).name}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "replace", recorded_replace)
    return calls


@pytest.mark.parametrize(
    ("write", "content"),
    [
        (lambda path: write_bytes(path, b"\0new"), b"\0new"),
        (lambda path: write_text(path, "caf\u00e9\r\n"), "caf\u00e9\r\n".encode()),
        (lambda path: write_json(path, {"a": [1]}), b'{\n  "a": [\n    1\n  ]\n}\n'),
    ],
    ids=["bytes", "text", "JSON"],
)
def test_content_is_on_disk_before_it_takes_the_name(path, calls, write, content):
    write(path)
    assert path.read_bytes() == content
    assert calls == [
        f"fsync file of {len(content)}",
        "replace .a.json.tmp a.json",
        "fsync folder",
    ]
    assert list(path.parent.iterdir()) == [path]


def test_what_a_library_writes_to_a_path_is_treated_alike(path, calls):
    with replacing(path) as temporary:
        assert (temporary.parent, path.read_bytes()) == (path.parent, b"old")
        with temporary.open("wb") as file:
            file.write(b"12345")
        assert calls == []
    assert path.read_bytes() == b"12345"
    assert calls == ["fsync file of 5", "replace .a.json.tmp a.json", "fsync folder"]


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_the_old_file_and_nothing_else(path, calls, error):
    with pytest.raises(error):
        with replacing(path) as temporary:
            temporary.write_bytes(b"half")
            raise error
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]
    assert calls == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_refuses_leaves_the_old_file_and_nothing_else(path, monkeypatch, call):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(OSError, match="No space left"):
        write_text(path, "new")
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_where_nothing_is_written_nothing_is_replaced(path):
    with pytest.raises(FileNotFoundError):
        with replacing(path):
            pass
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("number", "is_an_error"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)]
)
def test_a_file_system_that_forces_no_folders_is_taken_as_it_is(
    path, monkeypatch, number, is_an_error
):
    fsync = os.fsync

    def refuse_folders(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    if is_an_error:
        with pytest.raises(OSError):
            write_text(path, "new")
    else:
        write_text(path, "new")
    assert path.read_text() == "new"


def test_where_folders_cannot_be_opened_only_the_file_is_forced(path, calls, monkeypatch):
    monkeypatch.delattr(os, "O_DIRECTORY")
    write_text(path, "new")
    assert calls == ["fsync file of 3", "replace .a.json.tmp a.json"]


def test_a_kill_leaves_the_old_file_and_the_next_write_clears_up(path):
    code = f"""
import os, signal
from pathlib import Path
from rdvar_jax.files.replacing import replacing
with replacing(Path({str(path)!r})) as temporary:
    temporary.write_bytes(b"a longer half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    assert {entry.name for entry in path.parent.iterdir()} == {"a.json", ".a.json.tmp"}
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_several_writers_of_a_shared_file_do_not_meet(path):
    with replacing(path, shared=True) as slow, slow.open("wb", buffering=0) as file:
        file.write(b"sl")
        with replacing(path, shared=True) as fast:
            fast.write_bytes(b"fast")
        file.write(b"ow")
        assert path.read_bytes() == b"fast"
    assert path.read_bytes() == b"slow"
    assert list(path.parent.iterdir()) == [path]


def test_names_that_are_not_utf_8_keep_their_bytes(tmp_path):
    name = os.fsdecode(b"\xff\xfe.txt")
    write_text(tmp_path / name, f"{name}\n")
    assert os.listdir(os.fsencode(tmp_path)) == [b"\xff\xfe.txt"]
    assert (tmp_path / name).read_bytes() == b"\xff\xfe.txt\n"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_has_no_infinities_and_no_nan(path, value):
    with pytest.raises(ValueError):
        write_json(path, {"a": [value]})
    assert path.read_bytes() == b"old"
    write_json(path, {"a": 0.1})
    assert json.loads(path.read_text()) == {"a": 0.1}


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_permissions_of_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "new", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o666 & ~mask


def test_the_longest_names_can_be_replaced_too(tmp_path):
    for name in ("x" * 255, "ü" * 127):
        write_text(tmp_path / name, name)
        assert (tmp_path / name).read_text() == name
    assert len(list(tmp_path.iterdir())) == 2


def test_a_name_that_is_a_link_is_replaced_and_not_its_target(tmp_path):
    (tmp_path / "photo").write_text("a photograph")
    (tmp_path / "soft").symlink_to(tmp_path / "photo")
    os.link(tmp_path / "photo", tmp_path / "hard")
    for name in ("soft", "hard"):
        with replacing(tmp_path / name, synced=False) as temporary:
            temporary.write_text(name)
        assert (tmp_path / name).read_text() == name
    assert (tmp_path / "photo").read_text() == "a photograph"


@pytest.mark.parametrize(
    "field",
    ["a", "", "a\rb", "\r", "a\nb", "a\r\nb\r", 'a"b', "a,b", " a ", "=1", "'", "\udcff", "\u2028"],
)
def test_a_field_of_csv_comes_back(field):
    line = csv_line([field, 1, "z"])
    assert list(csv.reader(io.StringIO(line, newline=""))) == [[field, "1", "z"]]
    assert line.endswith("1,z\n")
