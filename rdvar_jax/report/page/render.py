"""Rendering of a run's files into `page.html` with its style and script."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rdvar_jax.report.gallery import data_uri
from rdvar_jax.report.page import contents
from rdvar_jax.report.page.plots import loss_plot, pro_plot, roc_plot, score_histogram
from rdvar_jax.report.page.templates import SHARED, render
from rdvar_jax.report.panels import overlay

LOSSES = {
    "loss_model": ("L_model", "distance between teacher and student"),
    "loss_var": ("L_var", "variance of the student's features in a batch, before its weight λ"),
}


def render_page(
    results: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    threshold: Mapping[str, Any] | None,
    aurocs: Mapping[str, float | None],
    log: Sequence[Mapping[str, Any]],
) -> str:
    """Renders the report as one HTML text.

    Args:
        results: from `results.json`.
        evaluation: from `evaluation.json`, written with it.
        rows: from `scores.csv`, with `label` 0, 1 or None and `score` a number.
        threshold: from `threshold.json`, if it belongs to these results; else None.
        aurocs: image AUROC of each kind of defect against the good images.
        log: lines of `metrics.jsonl`; may be empty.
    """
    value = None if threshold is None else float(threshold["threshold"])
    oracle = results["thresholds"]["oracle_f1"]
    labels = [row["label"] for row in rows]
    labelled = None not in labels
    scores = np.array([row["score"] for row in rows])
    lines = {} if value is None else {f"threshold {value:.4g}": value}
    if oracle is not None:
        lines[f"oracle (best F1) {oracle['threshold']:.4g}"] = oracle["threshold"]
    curves = evaluation["curves"]
    metrics = contents.metric_rows(results["metrics"])
    settings = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in evaluation["settings"].items()
        if not name.startswith("distributed.")
    }
    size = evaluation["settings"]["data.image_size"]  # a number, or height and width
    return render(
        SHARED / "page.html",
        results=results,
        settings=settings,
        size=size if isinstance(size, int) else " × ".join(map(str, size)),
        cards=metrics[: contents.NUM_CARDS],
        metrics=metrics,
        threshold=threshold,
        threshold_words=None if threshold is None else contents.threshold_words(threshold),
        at_threshold=None if value is None or not labelled else _counts(scores, labels, value),
        at_oracle=oracle,
        histogram=score_histogram(scores, np.array(labels) if labelled else None, lines),
        roc=_roc(curves),
        pro=None if curves["pro"] is None else pro_plot(curves["pro"]),
        defects=contents.defect_rows(rows, value, aurocs),
        gallery=contents.gallery_parts(evaluation["gallery"], rows, value),
        has_outlines=any(picture["outline"] for picture in evaluation["gallery"]),
        legend=_legend(),
        losses=[
            {"name": LOSSES[name][0], "meaning": LOSSES[name][1], "plot": loss_plot(name, *curve)}
            for name, curve in contents.loss_curves(log).items()
        ],
    )


def _roc(curves: Mapping[str, Any]) -> str | None:
    shown = {"images": curves["image_roc"], "pixels": curves["pixel_roc"]}
    return roc_plot(shown) if any(shown.values()) else None


def _counts(scores: np.ndarray, labels: Sequence[int], threshold: float) -> dict[str, int]:
    """Counts the images of each class above the threshold."""
    flagged = scores.astype(np.float32) > np.float32(threshold)
    defective = np.array(labels) == 1
    return {
        "num_found": int(np.sum(flagged & defective)),
        "num_defective": int(np.sum(defective)),
        "num_false": int(np.sum(flagged & ~defective)),
        "num_good": int(np.sum(~defective)),
    }


def _legend() -> str:
    """Draws the heat map's colours over grey, from no heat to full heat."""
    from PIL import Image

    ramp = np.broadcast_to(np.linspace(0, 1, 256), (12, 256))
    grey = np.full((12, 256, 3), 160, dtype=np.uint8)
    return data_uri(Image.fromarray(overlay(grey, ramp, (0.0, 1.0))))
