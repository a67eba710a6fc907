"""A threshold, and what it finds, in lines for a terminal."""

from collections.abc import Sequence
from typing import Any

SOURCES = {
    "input": "images (input)",
    "validation": "images (validation)",
    "train": "images (train)",
    "folds": "images (folds: each scored by a network that was not trained on it)",
}


def describe_threshold(found: dict[str, Any]) -> list[str]:
    """Returns lines on the content of `threshold.json`."""
    source = SOURCES[found["split"]]
    lines = [
        f"threshold {found['threshold']:.6g}: {found['num_above']} of {found['num_images']} "
        f"{source} are above it"
    ]
    if found["cost_missed"] is not None:
        missed, number = found["num_missed"], found["num_defective"]
        return [
            *lines,
            f"{number - missed} of {number} defective images found, {missed} missed; chosen with "
            f"these labels, for a missed defect that costs as much as {found['cost_missed']:g} "
            "false alarms, so new images can do worse",
        ]
    if found["fpr_bound"] is not None:
        return [
            *lines,
            f"false-positive rate of new good images at most {found['fpr_bound']:.4g}, with "
            f"confidence {found['confidence']:g}",
        ]
    if found["mean_rate"] is None:
        return [*lines, "no bound on the false-positive rate of new good images"]
    if found["mean_rate"] > found["target_fpr"]:
        lines.append(
            f"{found['num_images']} images cannot reach {percent(found['target_fpr'])}: the "
            "threshold is the highest score"
        )
    return [
        *lines,
        f"on average {percent(found['mean_rate'])} of new good images are above it; depending on "
        f"which {found['num_images']} good images were drawn, {percent(found['rate_low'])} to "
        f"{percent(found['rate_high'])} in 9 of 10 cases",
    ]


def describe_found(at: dict[str, Any] | None) -> list[str]:
    """Returns a line on what a threshold finds in an evaluation; none without defective images."""
    if at is None or not at["num_defective"]:
        return []
    return [
        f"found {at['num_found']} of {at['num_defective']} known defects; {at['num_false']} of "
        f"{at['num_good']} good images falsely alarmed"
    ]


def describe_targets(targets: Sequence[dict[str, Any]] | None) -> list[str]:
    """Returns a table of what thresholds for other rates find; nothing without any."""
    if not targets:
        return []
    lines = [f"{'rate':>8s}{'found':>12s}{'false alarms':>16s}"]
    for at in targets:
        found = f"{at['num_found']} of {at['num_defective']}"
        false = f"{at['num_false']} of {at['num_good']}"
        lines.append(f"{percent(at['target']):>8s}{found:>12s}{false:>16s}")
    return lines


def percent(share: float) -> str:
    """Returns a share as text: 4.95%, 12%."""
    return f"{100 * share:.3g} %" if share < 0.1 else f"{100 * share:.0f} %"
