"""The distribution of the scores as it is drawn: bins, marks, lines, and no reliance on colour."""

import re
import xml.etree.ElementTree

import numpy as np
import pytest

from rdvar_jax.report.page.histogram import bin_edges, score_histogram
from rdvar_jax.report.page.plots import COLORS


def texts(svg: str) -> list[str]:
    return [found.strip() for found in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


@pytest.mark.parametrize(("number", "bins"), [(10, 6), (20, 9), (53, 15), (400, 40), (9999, 40)])
def test_the_number_of_bins_follows_that_of_images(number, bins):
    scores = np.random.default_rng(0).random(number).astype(np.float32)
    edges = bin_edges(scores)
    assert len(edges) == bins + 1
    assert np.histogram(scores, edges)[0].sum() == number
    assert np.allclose(np.diff(edges), np.diff(edges)[0])


@pytest.mark.parametrize("value", [0.0, 0.3, -2.0, 1e-9])
def test_equal_scores_are_inside_of_the_bins(value):
    edges = bin_edges(np.full(12, value))
    assert edges[0] < value < edges[-1] and edges[-1] - edges[0] <= max(0.2, 0.5 * abs(value))


@pytest.mark.parametrize("number", [1, 2, 9, 20, 121, 500])
def test_it_can_be_read_with_few_and_with_many_images(number):
    scores, labels = np.linspace(0.2, 0.9, number), (np.arange(number) % 2 == 0).astype(int)
    svg = score_histogram(scores, labels, {"threshold 0.5": 0.5, "oracle 0.6": 0.6})
    root = xml.etree.ElementTree.fromstring(svg.replace("xlink:", ""))
    words = texts(svg)
    assert "threshold 0.5" in words and "oracle 0.6" in words
    assert any("raw score" in text for text in words)
    has_bars, has_marks = number >= 10, number <= 120
    num_good = number // 2
    assert ("number of images" in words) == has_bars
    assert (f"good ({num_good})" in words) == has_bars
    assert ("defective" in words) == has_marks
    marks = list(root.iter("use"))
    shapes = {
        group: [mark.get("href") for mark in marks if f"var(--{group})" in mark.get("style", "")]
        for group in ("good", "defective")
    }
    assert len(shapes["good"]) == (num_good if has_marks else 0)
    assert len(shapes["defective"]) == (number - num_good if has_marks else 0)
    # Circles and crosses.
    outlines = {f"#{path.get('id')}": path.get("d") for path in root.iter("path")}
    good, defective = ({outlines[name] for name in shapes[group]} for group in shapes)
    assert not good & defective
    # Defects are hatched, good images are filled.
    assert ("<pattern" in svg) == has_bars
    assert len(svg) < 90_000 and not any(color in svg for color in (*COLORS, "#1f77b4"))


def test_unlabelled_images_are_one_group():
    svg = score_histogram(np.linspace(0, 1, 12), None, {})
    assert "images (12)" in texts(svg) and "<pattern" not in svg
    assert not any("threshold" in text for text in texts(svg))
