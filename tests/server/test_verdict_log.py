"""The log: nothing is answered that it does not have."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from rdvar_jax.errors import ConfigError, InUseError
from rdvar_jax.server.judging.examined import Pictures, Upload
from rdvar_jax.server.judging.ledger import Draft, Ledger, LogError
from rdvar_jax.server.judging.verdict import Verdict
from rdvar_jax.server.judging.verdict_log import VERSION, open_log


def draft(name: str, watched: str | None = None, **changed) -> Draft:
    fields = dict(
        id=0,
        time="2026-11-28T15:04:05.678Z",
        part="part",
        name=name,
        sha256="0" * 64,
        width=3,
        height=2,
        score=0.1,
        threshold=None,
        verdict=None,
        num_regions=1,
        regions=[{"box": (0, 0, 1, 1), "area": 1, "score": 0.5}],
        seconds=0.01,
    )
    verdict = Verdict(**{**fields, **changed})
    return Draft(verdict, Pictures(None, Upload(name, b""), np.zeros((1, 1))), watched)  # pyright: ignore


def rows(path: Path) -> list[tuple]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT id, name, regions FROM verdicts ORDER BY id").fetchall()
    finally:
        connection.close()


def test_ids_go_on_where_they_ended(tmp_path):
    path = tmp_path / "v.sqlite"
    with open_log(path) as log:
        assert [one.id for one in log.append([draft("a"), draft("b")])] == [1, 2]
        assert [row[1] for row in rows(path)] == ["a", "b"]  # others can read it meanwhile
    with open_log(path) as log:
        assert [one.id for one in log.append([draft("c")])] == [3]
    regions = '[{"box": [0, 0, 1, 1], "area": 1, "score": 0.5}]'
    assert rows(path) == [(1, "a", regions), (2, "b", regions), (3, "c", regions)]


def test_a_commit_waits_for_the_disk(tmp_path):
    with open_log(tmp_path / "v.sqlite") as log:
        assert log._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert log._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_an_id_is_not_given_again_after_rows_are_removed(tmp_path):
    path = tmp_path / "v.sqlite"
    with open_log(path) as log:
        log.append([draft("a"), draft("b")])
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("DELETE FROM verdicts")
    connection.close()
    with open_log(path) as log:
        assert log.append([draft("c")])[0].id == 3


def test_files_of_a_watched_folder(tmp_path):
    path, folder = tmp_path / "v.sqlite", tmp_path / "in"
    odd = "sub/\udcff.png"
    with open_log(path) as log:
        names = [f"{folder}/a.png", f"{folder}/{odd}", f"{tmp_path}/in2/b.png", None]
        log.append([draft("x", watched=name) for name in names])
    with open_log(path) as log:
        assert log.watched(folder) == {"a.png", odd}


def test_two_servers_cannot_write_one_log(tmp_path):
    with open_log(tmp_path / "v.sqlite"):
        with pytest.raises(InUseError, match="give another --log"):
            with open_log(tmp_path / "v.sqlite"):
                pass


def refused(path: Path) -> str:
    before = path.read_bytes()
    with pytest.raises(ConfigError) as caught:
        with open_log(path):
            pass
    assert path.read_bytes() == before
    (sentence,) = str(caught.value).split("\n")
    assert str(path) in sentence and "another --log" in sentence
    return sentence


def test_files_that_are_not_logs(tmp_path):
    text = tmp_path / "text"
    text.write_text("no database" * 100)
    assert "not a database" in refused(text)
    foreign = tmp_path / "foreign"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE verdicts (id)")
    connection.close()
    assert "of another program" in refused(foreign)


def test_a_newer_or_damaged_log(tmp_path):
    path = tmp_path / "v.sqlite"
    with open_log(path) as log:
        log.append([draft(str(number)) for number in range(200)])
    whole = path.read_bytes()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    assert f"is of version {VERSION + 1}" in refused(path)
    page = 4096
    path.write_bytes(whole[: 2 * page] + b"\xff" * page + whole[3 * page :])
    refused(path)


def test_a_full_disk_keeps_nothing_and_the_log_goes_on(tmp_path):
    path = tmp_path / "v.sqlite"
    with open_log(path) as log:
        log.append([draft("a")])
        (pages,) = log._connection.execute("PRAGMA page_count").fetchone()
        log._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(LogError, match="the disk is full.*make room") as caught:
            log.append([draft("b"), draft("x" * 50_000)])
        assert caught.value.is_full
        assert [row[1] for row in rows(path)] == ["a"]
        log._connection.execute("PRAGMA max_page_count = 100000")
        assert log.append([draft("d")])[0].id == 2
    assert [row[1] for row in rows(path)] == ["a", "d"]


def test_a_log_that_was_moved_is_not_written(tmp_path):
    path = tmp_path / "v.sqlite"
    with open_log(path) as log:
        path.rename(tmp_path / "other.sqlite")
        with pytest.raises(LogError, match="a verdict that is not kept is not answered"):
            log.append([draft("a")])


def test_the_ledger_tells_after_keeping_and_in_order(tmp_path):
    path, seen = tmp_path / "v.sqlite", []

    def failing(verdict: Verdict, pictures: Pictures) -> None:
        raise RuntimeError("a listener's own fault")

    def listen(verdict: Verdict, pictures: Pictures) -> None:
        seen.append((verdict.id, pictures.sent.name, len(rows(path))))

    with open_log(path) as log:
        ledger = Ledger(log, [failing, listen])
        first = ledger.keep([draft("a"), draft("b")])
        assert [one.id for one in first.result(20)] == [1, 2]
        futures = [ledger.keep([draft(name)]) for name in "cde"]
        assert [future.result(20)[0].id for future in futures] == [3, 4, 5]
        ledger.close()
    assert [entry[:2] for entry in seen] == list(zip(range(1, 6), "abcde", strict=True))
    assert all(number >= id for id, _, number in seen)
