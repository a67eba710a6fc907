"""The last verdicts with their pictures, in memory, and counts since the start."""

import threading
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rdvar_jax.report.prediction_files import DEFECTIVE, GOOD
from rdvar_jax.server.judging.examined import Pictures
from rdvar_jax.server.judging.verdict import Verdict

NUMBER = 60
MAX_BYTES = 1 << 28  # of all image files together
UNKNOWN = "unknown"  # counted without a threshold


@dataclass(eq=False)
class RecentVerdict:
    """A verdict, and its image as long as there is room.

    Attributes:
        verdict: what was found.
        pictures: of the image; None once newer ones took its room.
    """

    verdict: Verdict
    pictures: Pictures | None
    _drawn: tuple[bytes, bytes] | None = None

    def thumbnails(self) -> tuple[bytes, bytes] | None:
        """Returns two JPEGs, plain and under heat; drawn once. None without the image."""
        pictures = self.pictures
        if self._drawn is None and pictures is not None:
            self._drawn = pictures.thumbnails(self.verdict.score)
        return self._drawn


class Recent:
    """A listener that remembers verdicts; all methods may be called by any thread.

    Pictures are drawn from the image's file when somebody first asks for them, so that they delay
    no answer.

    Args:
        parts: names of the parts.
        number: verdicts that are remembered.
        max_bytes: of their files together; the oldest lose theirs first.
    """

    def __init__(self, parts: Iterable[str], number: int = NUMBER, max_bytes: int = MAX_BYTES):
        self._lock, self._number = threading.Lock(), number
        self._free = max_bytes
        self._kept = deque[RecentVerdict]()
        self._counts = {part: Counter[str]() for part in parts}
        self._last_id = 0

    def __call__(self, verdict: Verdict, pictures: Pictures) -> None:
        """Takes a verdict; ids must rise."""
        # Copied, or the map would keep those of its whole batch.
        pictures = replace(pictures, anomaly_map=np.array(pictures.anomaly_map))
        with self._lock:
            self._last_id = verdict.id
            self._counts[verdict.part][verdict.verdict or UNKNOWN] += 1
            self._kept.append(RecentVerdict(verdict, pictures))
            self._free -= _bytes_of(pictures)
            if len(self._kept) > self._number:
                self._drop(self._kept.popleft())
            for one in self._kept:
                if self._free >= 0:
                    break
                self._drop(one)

    def get(self, id: int) -> RecentVerdict | None:
        """Returns a verdict by its id; None if it is not remembered any more."""
        with self._lock:
            return next((one for one in self._kept if one.verdict.id == id), None)

    def since(self, id: int, part: str | None = None) -> dict[str, Any]:
        """Returns in JSON what is remembered of higher ids, oldest first, counts and newest id.

        Counts are of all images since the start, by part: good, defective and unknown.
        """
        with self._lock:
            found = [one.verdict for one in self._kept if one.verdict.id > id]
            counts = {
                part: {kind: number[kind] for kind in (GOOD, DEFECTIVE, UNKNOWN)}
                for part, number in self._counts.items()
            }
            last_id = self._last_id
        return {
            "verdicts": [one.as_json() for one in found if part in (None, one.part)],
            "counts": counts,
            "last_id": last_id,
        }

    def _drop(self, one: RecentVerdict) -> None:
        if one.pictures is not None:
            self._free += _bytes_of(one.pictures)
            one.pictures = None


def _bytes_of(pictures: Pictures) -> int:
    return pictures.sent.num_bytes + pictures.anomaly_map.nbytes
