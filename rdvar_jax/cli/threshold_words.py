"""A threshold in words."""

from typing import Any


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


SOURCES = {
    "input": "images (input)",
    "validation": "images (validation)",
    "train": "images (train)",
    "folds": "images (folds: each scored by a network that was not trained on it)",
}


def percent(share: float) -> str:
    """Returns a share as text: 4.95%, 12%."""
    return f"{100 * share:.3g} %" if share < 0.1 else f"{100 * share:.0f} %"
