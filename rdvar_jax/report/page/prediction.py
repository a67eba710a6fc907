"""Rendering of a prediction as `index.html`, whose pictures are files beside it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from rdvar_jax.report.caption import Caption
from rdvar_jax.report.lettering import printable
from rdvar_jax.report.page.templates import SHARED, render
from rdvar_jax.report.prediction_files import DEFECTIVE, GOOD, ImageResult


@dataclass(frozen=True)
class Shown:
    """An image of the page.

    Attributes:
        result: its row.
        heat, plain: thumbnails, relative to the page.
        full: the picture that they link to, or None.
    """

    result: ImageResult
    heat: str
    plain: str
    full: str | None


def render_prediction(
    images: Sequence[Shown],
    skipped: Sequence[tuple[str, str]],
    scorer: str,
    title: str,
    threshold: float | None,
    threshold_words: str,
) -> str:
    """Renders the page as one HTML text, the image with the highest score first.

    Args:
        images: in any order.
        skipped: name and reason of each image that could not be read.
        scorer: names the run or the bundle.
        title: of the page.
        threshold: that of the verdicts, or None.
        threshold_words: describes where it comes from.
    """
    ordered = sorted(images, key=lambda image: -image.result.score)  # equal ones as they came
    verdicts = [image.result.verdict for image in images]
    return render(
        SHARED / "prediction.html",
        title=printable(title),
        scorer=printable(scorer),
        threshold=None if threshold is None else f"{threshold:.4g}",
        threshold_words=printable(threshold_words),
        num_images=len(images),
        counts={verdict: verdicts.count(verdict) for verdict in (DEFECTIVE, GOOD)},
        images=[_card(image) for image in ordered],
        skipped=[(printable(name), printable(reason)) for name, reason in skipped],
    )


def _card(image: Shown) -> dict[str, Any]:
    result = image.result
    score, threshold = Caption(result.score, result.threshold, result.verdict).numbers()
    return {
        "name": printable(result.path),
        "verdict": result.verdict,
        "score": score,
        "threshold": threshold,
        "num_regions": result.num_regions,
        "heat": _address(image.heat),
        "plain": _address(image.plain),
        "full": None if image.full is None else _address(image.full),
    }


def _address(path: str) -> str:
    """Quotes a relative path as an address: bytes that are not UTF-8 keep their values."""
    return quote(os.fsencode(path))
