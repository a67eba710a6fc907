"""Limits of the system are recognised in the exceptions of every library, and nothing else is."""

import errno
import os
import resource
import sys

import jax
import pytest

from rdvar_jax.cli.ending import report_error
from rdvar_jax.errors import CheckpointError, DataError, UserError
from rdvar_jax.files.exhausted import check_address_space, exhausted
from rdvar_jax.files.replacing import naming, whole_or_none, write_text

# As tensorstore 0.1.83 writes it.
TENSORSTORE = (
    'RESOURCE_EXHAUSTED: Error writing "params" in OCDBT database at local file "/w/d/": Failed '
    "to write 1300 bytes to file 18: No space left on device [os_error_code='28']"
)


def os_error(number: int, *file: str) -> OSError:
    return OSError(number, os.strerror(number), *file)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (os_error(errno.ENOSPC, "/w/a"), "/w/a cannot be written, because the disk is full ("),
        (os_error(errno.ENOSPC), "a file cannot be written, because the disk is full;"),
        (os_error(errno.EDQUOT, "/w/a"), "/w/a cannot be written, because your quota"),
        (os_error(errno.EFBIG, "/w/a"), "it would be larger than a file may be here"),
        (os_error(errno.EMFILE, "/w/a"), "/w/a cannot be opened, because this process may open"),
        (os_error(errno.ENFILE, "/w/a"), "the system may open no more files"),
        (os_error(errno.ENOMEM), "the memory is used up"),
        (ValueError(TENSORSTORE), "/w/d/ cannot be written, because the disk is full"),
        (MemoryError(), "the memory is used up; everything"),
        (RuntimeError("can't start new thread"), "the memory is used up (can't start new thread)"),
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes"), "8 b"),
        (ImportError("a.so: failed to map segment from shared object"), "the memory is used up"),
        (ExceptionGroup("tasks", [os_error(errno.EMFILE)]), "ulimit -n"),
    ],
)
def test_each_limit_is_one_sentence_with_the_way_out(error, words, capsys):
    try:
        try:
            raise error
        except Exception as cause:
            raise CheckpointError("advice of the place\nin two lines") from cause
    except CheckpointError as wrapped:
        assert report_error(wrapped) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
    assert "everything saved before is kept: " in said
    assert said.endswith(", then run the same command again.\n")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("out of range"),
        KeyError("No space left on device"),
        DataError("a.png is damaged"),
        os_error(errno.EACCES, "/w/a"),
        os_error(errno.EROFS, "/w/a"),
        OSError("2 requested and 0 written"),
    ],
)
def test_other_exceptions_are_not_limits(error):
    assert exhausted(error) is None


def test_what_the_sentence_hides_is_not_searched():
    try:
        try:
            raise MemoryError
        except MemoryError:
            raise DataError("a.png is damaged") from None
    except DataError as error:
        assert exhausted(error) is None


def test_a_read_only_file_is_one_sentence(capsys):
    assert report_error(os_error(errno.EROFS, "/w/a")) == 2
    assert capsys.readouterr().err == "rdvar: /w/a: Read-only file system\n"


class FullStream:
    def flush(self, *_) -> None:
        raise os_error(errno.ENOSPC)

    write = flush


def test_standard_output_on_a_full_disk_is_dropped(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdout", FullStream())
    assert report_error(os_error(errno.ENOSPC)) == 2
    assert "the disk is full" in capsys.readouterr().err
    print("dropped", flush=True)
    dropped = sys.stdout
    monkeypatch.setattr(sys, "stderr", FullStream())
    assert report_error(os_error(errno.ENOSPC)) == 2
    dropped.close()


def test_errors_get_the_files_name_and_no_half_file_stays(tmp_path, monkeypatch):
    path = tmp_path / "a"
    with pytest.raises(OSError) as caught, whole_or_none(path):
        path.write_text("half")
        raise os_error(errno.ENOSPC)
    assert caught.value.filename == str(path) and not path.exists()
    with pytest.raises(ValueError) as named, naming(path):
        raise ValueError(TENSORSTORE.replace(' at local file "/w/d/"', ""))
    assert exhausted(named.value).what == f"{path} cannot be written"

    def refuse(*_):
        raise os_error(errno.ENOSPC)

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError) as caught:
        write_text(path, "text")
    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


def test_an_address_space_below_jaxs_own_is_refused(monkeypatch):
    check_address_space()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (600_000_000, -1))
    with pytest.raises(UserError, match=r"limited to 600 MB \(ulimit -v\), and JAX alone"):
        check_address_space()
