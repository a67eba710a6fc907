"""Verdicts of a threshold on test images: counts, the page's leading sentence, rows by kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Verdicts:
    """Numbers of images above a threshold, and of all, by label."""

    num_found: int
    num_defective: int
    num_false: int
    num_good: int
    num_flagged_unlabelled: int = 0
    num_unlabelled: int = 0

    @property
    def num_missed(self) -> int:
        return self.num_defective - self.num_found


def count_verdicts(rows: Sequence[Mapping[str, Any]], threshold: float) -> Verdicts:
    """Counts images above the threshold; an equal score is not above it.

    Args:
        rows: `label` (0, 1 or None) and `score` of each image.
        threshold: a float32 value.
    """
    scores = np.array([row["score"] for row in rows], np.float32)
    flagged = scores > np.float32(threshold)
    labels = np.array([-1 if row["label"] is None else row["label"] for row in rows])
    counts = []
    for label in (1, 0, -1):
        counts += [int(np.sum(flagged & (labels == label))), int(np.sum(labels == label))]
    return Verdicts(*counts)


def headlines(verdicts: Verdicts) -> list[str]:
    """Returns a short sentence for each class of images that the test set has."""
    lines = []
    if verdicts.num_defective:
        found = _of(verdicts.num_found, verdicts.num_defective, "defect")
        lines.append(f"{found} found, {verdicts.num_missed or 'none'} missed")
    if verdicts.num_good:
        false = _of(verdicts.num_false, verdicts.num_good, "good image")
        lines.append(f"{false} falsely alarmed")
    if verdicts.num_unlabelled:
        known = verdicts.num_defective or verdicts.num_good
        what = "unlabelled image" if known else "image"
        flagged = _of(verdicts.num_flagged_unlabelled, verdicts.num_unlabelled, what)
        lines.append(f"{flagged} called defective")
    return lines


def what_lacks(labels: Sequence[int | None]) -> str | None:
    """Returns a sentence about what test images cannot show; None if they have both classes."""
    if None in labels:
        return "Without labels nothing says which verdicts are right."
    if 1 not in labels:
        return "There are no defective ones, so nothing says which defects are found."
    if 0 not in labels:
        return "There are no good ones, so nothing says how often good parts are falsely alarmed."
    return None


def verdict_rows(rows: Sequence[Mapping[str, Any]], threshold: float) -> list[dict[str, Any]]:
    """Returns a row per kind of defect, then good images: counts in words, and errors marked."""
    table = []
    kinds = sorted(
        {(row["label"], row["defect"]) for row in rows},
        key=lambda pair: ({1: 0, 0: 1, None: 2}[pair[0]], pair[1]),
    )
    for label, kind in kinds:
        chosen = [row for row in rows if (row["label"], row["defect"]) == (label, kind)]
        counts = count_verdicts(chosen, threshold)
        flagged = counts.num_found + counts.num_false + counts.num_flagged_unlabelled
        passed = len(chosen) - flagged
        alarms = "false alarm" if flagged == 1 else "false alarms"
        words = {1: ("found", "missed"), 0: (alarms, "passed"), None: ("flagged", "passed")}[label]
        table.append(
            {
                "kind": kind or "unlabelled",
                "count": str(len(chosen)),
                "flagged": f"{flagged} {words[0]}",
                "flagged_is_error": label == 0 and flagged > 0,
                "passed": f"{passed} {words[1]}",
                "passed_is_error": label == 1 and passed > 0,
            }
        )
    return table


def _of(number: int, total: int, noun: str) -> str:
    return f"{number} of {total} {noun}{'' if total == 1 else 's'}"
