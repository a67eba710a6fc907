"""Verdicts kept in a file of SQLite, each before it is answered."""

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from rdvar_jax.errors import ConfigError
from rdvar_jax.files.locks import locked_file
from rdvar_jax.server.judging.ledger import Draft, LogError
from rdvar_jax.server.judging.verdict import Verdict

APPLICATION_ID = 0x52445652  # "RDVR", in the file's header
VERSION = 1

_SCHEMA = f"""
CREATE TABLE verdicts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time TEXT NOT NULL,
    part TEXT NOT NULL,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    score REAL NOT NULL,
    threshold REAL,
    verdict TEXT,
    num_regions INTEGER,
    regions TEXT,
    seconds REAL NOT NULL,
    watched BLOB
);
CREATE INDEX watched ON verdicts (watched) WHERE watched IS NOT NULL;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""
_COLUMNS = (
    *("time", "part", "name", "sha256", "width", "height", "score", "threshold", "verdict"),
    *("num_regions", "regions", "seconds", "watched"),
)
_INSERT = f"INSERT INTO verdicts ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"


class VerdictLog:
    """A log that is open for writing; made by `open_log`.

    It is in SQLite's WAL mode with synchronous=FULL: what is committed stays after a kill and after
    a power cut, and others may read the file meanwhile.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection):
        self._path, self._connection = path, connection
        self._inode = os.stat(path).st_ino

    def append(self, drafts: Sequence[Draft]) -> list[Verdict]:
        """Returns the verdicts with their ids once they are on disk; all or none.

        Raises:
            LogError: they cannot be kept.
        """
        try:
            # SQLite would go on writing to a file that has no name any more.
            if os.stat(self._path).st_ino != self._inode:
                raise FileNotFoundError("it was replaced")
            with _transaction(self._connection):
                return [self._insert(draft) for draft in drafts]
        except (sqlite3.Error, OSError) as error:
            is_full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
            reason = "the disk is full" if is_full else str(error)
            remedy = "make room" if is_full else "restore it, or restart rdvar serve"
            raise LogError(
                f"{self._path} cannot be written, because {reason}; a verdict that is not kept is "
                f"not answered: {remedy}, then send the image again.",
                is_full,
            ) from error

    def watched(self, folder: Path) -> set[str]:
        """Returns the files of a watched folder that have a verdict, by their names in it."""
        start = os.path.join(os.fsencode(os.path.abspath(folder)), b"")
        rows = self._connection.execute(
            "SELECT watched FROM verdicts WHERE watched IS NOT NULL AND substr(watched, 1, ?) = ?",
            (len(start), start),
        )
        return {os.fsdecode(path[len(start) :]) for (path,) in rows}

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def _insert(self, draft: Draft) -> Verdict:
        one = draft.verdict
        regions = None if one.regions is None else json.dumps(list(one.regions))
        watched = None if draft.watched is None else os.fsencode(draft.watched)
        values = (
            *(one.time, one.part, one.name, one.sha256, one.width, one.height, one.score),
            *(one.threshold, one.verdict, one.num_regions, regions, one.seconds, watched),
        )
        id = self._connection.execute(_INSERT, values).lastrowid
        assert id is not None
        return replace(one, id=id)


@contextmanager
def open_log(path: Path) -> Iterator[VerdictLog]:
    """Opens a log for writing, which is made if missing; ids go on where they ended.

    Raises:
        ConfigError: it is damaged, of another program, or of a newer version.
        InUseError: another server writes it.
        OSError: its folder does not exist.
    """
    with locked_file(path, "give another --log"):
        try:
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                _check(connection, path)
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise ConfigError(
                f"--log {path} cannot be used ({error}); restore it, or give another --log."
            ) from error
        log = VerdictLog(path, connection)
        try:
            yield log
        finally:
            log.close()


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Makes the tables of a new file, and refuses a file that is not a log."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables and not application and not version:
        connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")
        return
    if application != APPLICATION_ID:
        raise ConfigError(f"--log {path} is a database of another program; give another --log.")
    if version != VERSION:
        raise ConfigError(
            f"--log {path} is of version {version}, and this rdvar writes version {VERSION}; give "
            "another --log, or use the rdvar that made it."
        )
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(found)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite may have ended it itself
            connection.execute("ROLLBACK")
        raise
