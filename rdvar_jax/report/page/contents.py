"""Texts and table rows of the page, from the numbers in a run's files."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# Title and plain meaning by metric. The first three have a card, if they have a value.
METRICS = {
    "image_auroc": (
        "Image AUROC",
        "How often a defective image scores higher than a good one. 1 is perfect, 0.5 is guessing.",
    ),
    "pixel_auroc": (
        "Pixel AUROC",
        "The same for single pixels: how often a defective one is hotter than a defect-free one.",
    ),
    "aupro": (
        "AUPRO",
        "How much of each defect is marked while few defect-free pixels are (at most 30 %); small "
        "defects count as much as large ones.",
    ),
    "image_ap": (
        "Image average precision",
        "How pure the list of images called defective is, averaged over all lengths of the list.",
    ),
    "image_f1_max": (
        "Image F1, best threshold",
        "At the threshold that is best for these images, chosen with their labels: an upper bound.",
    ),
    "pixel_ap": ("Pixel average precision", "Average precision of single pixels."),
    "pixel_f1_max": (
        "Pixel F1, best threshold",
        "At the map value that is best for these masks: an upper bound.",
    ),
    "pro_rd4ad_per_image": (
        "PRO as RD4AD prints it",
        "Not the same as AUPRO; compare it only with numbers from RD4AD's own code.",
    ),
}
CARDS = tuple(METRICS)[:3]

# By teacher.weights.
DEMONSTRATIONS = {
    "procedural": "a teacher trained on drawn images; on real parts it finds little",
    "random": "an untrained teacher, with random weights; on real parts it finds little",
}


def demonstration(results: Mapping[str, Any], settings: Mapping[str, Any]) -> str | None:
    """Says of a teacher that is not for real parts what it is; None for others."""
    weights = results["teacher"].get("weights") or settings.get("teacher.weights")
    return DEMONSTRATIONS.get(str(weights))


def metric_rows(metrics: Mapping[str, float | None]) -> list[dict[str, Any]]:
    """Returns name, value, meaning and whether there is a card, of each metric with a value."""
    return [
        {
            "name": title,
            "value": f"{metrics[name]:.3f}",
            "meaning": meaning,
            "has_card": name in CARDS,
        }
        for name, (title, meaning) in METRICS.items()
        if metrics.get(name) is not None
    ]


def undefined_words(undefined: Mapping[str, str]) -> str | None:
    """Says in one line why metrics are missing; None if none is.

    Args:
        undefined: reason by kind of metric, "image" or "pixel", from `results.json`.
    """
    kinds: dict[str, list[str]] = {}
    for kind, reason in undefined.items():
        kinds.setdefault(reason, []).append(kind)
    parts = [f"no {' or '.join(names)} metrics, since {why}" for why, names in kinds.items()]
    words = "; ".join(parts)
    return f"{words[0].upper()}{words[1:]}." if words else None


def defect_rows(
    rows: Sequence[Mapping[str, Any]], aurocs: Mapping[str, float | None]
) -> list[dict[str, str | None]]:
    """Returns a row per kind of image, good ones first: count, AUROC and scores.

    Args:
        rows: `label` (0, 1 or None), `defect` and `score` of each image.
        aurocs: of each kind of defect against all good images.
    """
    table = []
    for kind in sorted({row["defect"] for row in rows}, key=lambda kind: (kind != "good", kind)):
        scores = np.array([row["score"] for row in rows if row["defect"] == kind], np.float32)
        auroc = aurocs.get(kind)
        table.append(
            {
                "kind": kind or "unlabelled",
                "count": str(len(scores)),
                "auroc": None if auroc is None else f"{auroc:.3f}",
                "lowest": f"{scores.min():.4g}",
                "median": f"{np.median(scores):.4g}",
                "highest": f"{scores.max():.4g}",
            }
        )
    return table


def gallery_parts(
    gallery: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    threshold: float | None,
) -> list[dict[str, Any]]:
    """Returns the gallery's nonempty parts with their titles, remarks and labelled pictures."""
    titles = {
        1: ("Defective images with the lowest scores", "Lowest first: the hardest to find."),
        0: ("Good images with the highest scores", "Highest first: the closest to a false alarm."),
        None: ("Images with the highest scores", "Highest first; the images are unlabelled."),
    }
    parts = []
    for label, (title, remark) in titles.items():
        pictures = [
            {**picture, **rows[picture["row"]], **_verdict(rows[picture["row"]], threshold)}
            for picture in gallery
            if rows[picture["row"]]["label"] == label
        ]
        if pictures:
            parts.append({"title": title, "remark": remark, "pictures": pictures})
    return parts


def _verdict(row: Mapping[str, Any], threshold: float | None) -> dict[str, Any]:
    """Returns the verdict on an image as a word, and whether it is an error."""
    if threshold is None:
        return {"verdict": {0: "good", 1: "defective", None: ""}[row["label"]], "error": False}
    flagged = np.float32(row["score"]) > np.float32(threshold)
    words = {
        (1, True): "found",
        (1, False): "missed",
        (0, True): "false alarm",
        (0, False): "passed",
        (None, True): "called defective",
        (None, False): "passed",
    }
    word = words[row["label"], bool(flagged)]
    return {"verdict": word, "error": word in ("missed", "false alarm")}


def loss_curves(lines: Sequence[Mapping[str, Any]]) -> dict[str, tuple[list[float], list[float]]]:
    """Returns L_model and L_var over the epochs, from lines of metrics.jsonl; {} without lines.

    For short runs, with too few epochs for a curve, the losses are those of single steps.
    """
    names = ("loss_model", "loss_var")
    needed = ("epoch", *names)
    # Lines of a custom loss lack them.
    lines = [line for line in lines if all(isinstance(line.get(x), int | float) for x in needed)]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    steps = [line for line in lines if line["kind"] == "train"]
    shown = steps if len(epochs) < 3 and len(steps) > len(epochs) else epochs
    if not shown:
        return {}
    when = [float(line["epoch"]) for line in shown]
    return {name: (when, [float(line[name]) for line in shown]) for name in names}


def why_no_losses(results: Mapping[str, Any], log: Sequence[Mapping[str, Any]]) -> str:
    """Says why there are no curves of the losses, for a page without any."""
    if results["imported"]:
        return "the run was imported"
    if log and results.get("own_loss"):
        return f"the loss {results['own_loss']} is not made of L_model and L_var"
    return "metrics.jsonl has no line of a finished epoch or step"
