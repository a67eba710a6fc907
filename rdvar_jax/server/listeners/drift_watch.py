"""Compares the last scores with those that the thresholds came from."""

import threading
from collections import deque
from collections.abc import Iterable
from typing import Any

from rdvar_jax.scoring.drift import find_drift
from rdvar_jax.server.judging.examined import Pictures
from rdvar_jax.server.judging.part import Part
from rdvar_jax.server.judging.verdict import Verdict
from rdvar_jax.serving.manifest import read_good_scores

LAST = 200  # scores that are compared


class DriftWatch:
    """A listener that remembers the last scores of each part.

    Args:
        parts: what is served.
        last: scores that are compared.
    """

    def __init__(self, parts: Iterable[Part], last: int = LAST):
        self._lock = threading.Lock()
        self._scores: dict[str, deque[float]] = {}
        self._then: dict[str, list[float] | None] = {}
        for part in parts:
            self._scores[part.name] = deque(maxlen=last)
            self._then[part.name] = read_good_scores(part.detector.manifest)

    def __call__(self, verdict: Verdict, pictures: Pictures | None = None) -> None:
        """Takes a verdict."""
        with self._lock:
            self._scores[verdict.part].append(verdict.score)

    def now(self) -> dict[str, Any]:
        """Returns for each part in JSON whether its scores have changed, and in words how."""
        with self._lock:
            scores = {part: list(found) for part, found in self._scores.items()}
        return {part: self._describe(self._then[part], found) for part, found in scores.items()}

    def _describe(self, then: list[float] | None, now: list[float]) -> dict[str, Any]:
        if then is None:
            words = "the bundle does not keep the scores of its threshold; export it again"
            return {"has_changed": None, "words": words}
        if not now:
            return {"has_changed": None, "words": "no scores yet"}
        found = find_drift(then, now)
        return {"has_changed": found.has_changed, "words": str(found)}
