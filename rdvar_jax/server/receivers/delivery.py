"""Verdicts of a log that a receiver has not confirmed, over restarts and kills of the server."""

import json
import sqlite3
import time
from collections import deque
from pathlib import Path

from rdvar_jax.server.judging.verdict import Verdict

AT_ONCE = 500  # verdicts that are read together
SECONDS = 0.5  # between two writes of how far the receiver is, at least

_TABLE = """
CREATE TABLE IF NOT EXISTS delivered (receiver TEXT PRIMARY KEY, id INTEGER NOT NULL)
"""
_COLUMNS = (
    "id, time, part, name, sha256, width, height, score, threshold, verdict, num_regions, regions, "
    "seconds"
)


class InLog:
    """The verdicts of a log after the last one that a receiver has confirmed.

    A receiver that is new gets those from now on. What it has confirmed in the last moments before
    a kill comes a second time.

    Args:
        path: the log, open for writing elsewhere in this process.
        receiver: tells receivers apart, such as an address.
    """

    fate = "to follow after the next start"

    def __init__(self, path: Path, receiver: str):
        self._receiver = receiver
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        # Not waiting for the disk: only how far the receiver is may be lost, and that is repeated.
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute(_TABLE)
        self._connection.execute(
            "INSERT OR IGNORE INTO delivered SELECT ?, ifnull(max(id), 0) FROM verdicts",
            (receiver,),
        )
        (self._last,) = self._connection.execute(
            "SELECT id FROM delivered WHERE receiver = ?", (receiver,)
        ).fetchone()
        self._read = deque[Verdict]()
        self._confirmed, self._written = self._last, time.monotonic()

    def put(self, verdict: Verdict) -> None:
        """Does nothing: it is in the log."""

    def take(self) -> Verdict | None:
        """Returns the oldest."""
        if not self._read:
            rows = self._connection.execute(
                f"SELECT {_COLUMNS} FROM verdicts WHERE id > ? ORDER BY id LIMIT {AT_ONCE}",
                (self._last,),
            )
            self._read.extend(map(_verdict, rows))
        if not self._read:
            return None
        verdict = self._read.popleft()
        self._last = verdict.id
        return verdict

    def delivered(self, id: int) -> None:
        """Notes how far the receiver is; not each time on disk."""
        self._confirmed = id
        if time.monotonic() > self._written + SECONDS:
            self._write()

    def close(self) -> None:
        """Writes how far the receiver is."""
        self._write()
        self._connection.close()

    def __len__(self) -> int:
        (number,) = self._connection.execute(
            "SELECT count(*) FROM verdicts WHERE id > ?", (self._last,)
        ).fetchone()
        return number

    def _write(self) -> None:
        self._written = time.monotonic()
        self._connection.execute(
            "UPDATE delivered SET id = ? WHERE receiver = ?", (self._confirmed, self._receiver)
        )


def _verdict(row: tuple) -> Verdict:
    *most, regions, seconds = row
    return Verdict(*most, regions=None if regions is None else json.loads(regions), seconds=seconds)
