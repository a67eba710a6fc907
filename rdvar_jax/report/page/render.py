"""Rendering of a run's files into `page.html` with its style and script."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rdvar_jax.report.gallery import data_uri
from rdvar_jax.report.page import contents, threshold_words
from rdvar_jax.report.page.histogram import score_histogram
from rdvar_jax.report.page.plots import loss_plot, pro_plot, roc_plot
from rdvar_jax.report.page.templates import SHARED, render
from rdvar_jax.report.page.verdicts import (
    Verdicts,
    count_verdicts,
    headlines,
    verdict_rows,
    what_lacks,
)
from rdvar_jax.report.panels import overlay

LOSSES = {
    "loss_model": ("L_model", "distance between teacher and student"),
    "loss_var": ("L_var", "variance of the student's features in a batch, before its weight λ"),
}


@dataclass(frozen=True)
class NextSteps:
    """What a reader can do about what a page lacks.

    Attributes:
        threshold: the command that chooses a threshold.
        evaluate: the command that scores the test images.
        report: the command that makes this page.
        test_folder: where test images are put; None if not in a folder.
        with_defects: the command that takes known defects; None if `test_folder` takes them.
    """

    threshold: str
    evaluate: str
    report: str
    test_folder: str | None
    with_defects: str | None = None


def render_page(
    results: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    threshold: Mapping[str, Any] | None,
    aurocs: Mapping[str, float | None],
    log: Sequence[Mapping[str, Any]],
    next_steps: NextSteps,
    threshold_is_stale: bool = False,
) -> str:
    """Renders the report as one HTML text.

    Args:
        results: from `results.json`; of a run that was not evaluated see `runs/untested.py`.
        evaluation: from `evaluation.json`, written with it.
        rows: from `scores.csv`, with `label` 0, 1 or None and `score` a number; may be empty.
        threshold: from `threshold.json`, if it belongs to these results; else None.
        aurocs: image AUROC of each kind of defect against the good images.
        log: lines of `metrics.jsonl`; may be empty.
        next_steps: commands for this run.
        threshold_is_stale: whether there is a threshold of another state or of other settings.
    """
    value = None if threshold is None else float(threshold["threshold"])
    oracle = results["thresholds"]["oracle_f1"]
    labels = [row["label"] for row in rows]
    labelled = None not in labels
    scores = np.array([row["score"] for row in rows])
    lines = {} if value is None else {f"threshold {value:.4g}": value}
    if oracle is not None:
        lines[f"oracle (best F1) {oracle['threshold']:.4g}"] = oracle["threshold"]
    curves, all_settings = evaluation["curves"], evaluation["settings"]
    metrics = contents.metric_rows(results["metrics"])
    settings = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in all_settings.items()
        if not name.startswith("distributed.")
    }
    size = all_settings["data.image_size"]  # a number, or height and width
    counts = count_verdicts(rows, value) if value is not None and rows else None
    good_images = results.get("good_images")
    return render(
        SHARED / "page.html",
        results=results,
        settings=settings,
        size=size if isinstance(size, int) else " × ".join(map(str, size)),
        demonstration=contents.demonstration(results, all_settings),
        tested=bool(rows),
        labelled=labelled,
        next_steps=next_steps,
        lacking=what_lacks(labels) if rows else None,
        metrics=metrics,
        undefined=contents.undefined_words(results["undefined"]),
        good_images=threshold_words.good_images_words(good_images),
        threshold=threshold,
        threshold_is_stale=threshold_is_stale,
        threshold_origin=None if threshold is None else threshold_words.origin(threshold),
        threshold_promise=[] if threshold is None else threshold_words.promise(threshold),
        threshold_observed=None
        if threshold is None or counts is None
        else threshold_words.observed(threshold, counts, good_images),
        at_threshold=_at(value, rows, counts),
        at_oracle=None
        if oracle is None
        else _at(oracle["threshold"], rows, count_verdicts(rows, oracle["threshold"])),
        oracle=oracle,
        targets=results.get("targets") or [],
        histogram=score_histogram(scores, np.array(labels) if labelled else None, lines)
        if rows
        else None,
        roc=_roc(curves),
        pro=None if curves["pro"] is None else pro_plot(curves["pro"]),
        defects=contents.defect_rows(rows, aurocs),
        gallery=contents.gallery_parts(evaluation["gallery"], rows, value),
        has_outlines=any(picture["outline"] for picture in evaluation["gallery"]),
        legend=_legend(),
        losses=[
            {"name": LOSSES[name][0], "meaning": LOSSES[name][1], "plot": loss_plot(name, *curve)}
            for name, curve in contents.loss_curves(log).items()
        ],
        no_losses=contents.why_no_losses(results, log),
    )


def _at(
    threshold: float | None, rows: Sequence[Mapping[str, Any]], counts: Verdicts | None
) -> dict[str, Any] | None:
    """Returns what a threshold makes of the test images: headlines and rows by kind."""
    if threshold is None or counts is None:
        return None
    return {
        "headlines": headlines(counts),
        "rows": verdict_rows(rows, threshold),
    }


def _roc(curves: Mapping[str, Any]) -> str | None:
    shown = {"images": curves["image_roc"], "pixels": curves["pixel_roc"]}
    return roc_plot(shown) if any(shown.values()) else None


def _legend() -> str:
    """Draws the heat map's colours over grey, from no heat to full heat."""
    from PIL import Image

    ramp = np.broadcast_to(np.linspace(0, 1, 256), (12, 256))
    grey = np.full((12, 256, 3), 160, dtype=np.uint8)
    return data_uri(Image.fromarray(overlay(grey, ramp, (0.0, 1.0))))
