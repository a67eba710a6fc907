"""Distribution of the scores: bars for many images, a mark for each of a few."""

from typing import Any

import numpy as np

from rdvar_jax.report.page.plots import ACCENT, DEFECTIVE, GOOD, INK, to_svg

SIZE = 4.0, 3.3  # inches
FEWEST_FOR_BARS = 10
MOST_MARKS = 120
MOST_BINS = 40
LETTER_WIDTH = 0.022  # of a name over the plot, as a share of the plot's width


def score_histogram(
    scores: np.ndarray, labels: np.ndarray | None, thresholds: dict[str, float]
) -> str:
    """Draws the scores of good and of defective images, which differ in more than colour.

    Args:
        scores: float [N], not empty.
        labels: 0/1 [N], or None if unknown.
        thresholds: vertical lines by their text, "oracle ..." dashed.
    """
    groups = [("images", scores, ACCENT, "", "o")]
    if labels is not None:
        groups = [
            ("good", scores[labels == 0], GOOD, "", "o"),
            ("defective", scores[labels == 1], DEFECTIVE, "///", "x"),
        ]
    groups = [group for group in groups if len(group[1])]
    has_bars, has_marks = len(scores) >= FEWEST_FOR_BARS, len(scores) <= MOST_MARKS

    def draw(figure: Any) -> None:
        heights = [4.0] * has_bars + [0.35 + 0.45 * len(groups)] * has_marks
        rows = figure.subplots(
            len(heights), sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
        )[:, 0]
        if has_bars:
            _draw_bars(rows[0], bin_edges(scores), groups)
            figure.legend(loc="outside upper left", ncols=2)
        if has_marks:
            _draw_marks(rows[-1], groups)
        for axes in rows:
            for name, value in thresholds.items():
                style = "--" if name.startswith("oracle") else "-"
                axes.axvline(value, color=INK, linewidth=1.4, linestyle=style)
        _name_lines(rows[0], thresholds)
        rows[-1].set_xlabel("raw score, without unit: higher is more unusual")

    return to_svg("histogram", draw, SIZE if has_bars else (SIZE[0], 1.3 + 0.4 * len(groups)))


def bin_edges(scores: np.ndarray) -> np.ndarray:
    """Returns equally wide bins over all scores, about 2 √N: 9 for 20 images, 40 for 400."""
    low, high = float(np.min(scores)), float(np.max(scores))
    if low == high:
        margin = 0.1 * abs(low) or 0.1
        low, high = low - margin, high + margin
    number = round(2 * len(scores) ** 0.5)
    return np.linspace(low, high, min(number, MOST_BINS) + 1)


def _draw_bars(axes: Any, bins: np.ndarray, groups: list[Any]) -> None:
    for name, values, color, hatch, _ in groups:
        axes.hist(
            values,
            bins,
            label=f"{name} ({len(values)})",
            histtype="stepfilled",
            linewidth=1.2,
            edgecolor=color,
            facecolor="none" if hatch else (color, 0.35),
            hatch=hatch,
        )
    axes.set_ylabel("number of images")
    axes.yaxis.get_major_locator().set_params(integer=True)


def _draw_marks(axes: Any, groups: list[Any]) -> None:
    for height, (_, values, color, _, marker) in enumerate(reversed(groups)):
        face = {"markerfacecolor": "none"} if marker == "o" else {}
        axes.plot(
            values,
            np.full(len(values), height),
            linestyle="none",
            marker=marker,
            markersize=5.5,
            color=color,
            markeredgewidth=1.2,
            **face,
        )
    axes.set_yticks(range(len(groups)), [group[0] for group in reversed(groups)])
    axes.set_ylim(-0.6, len(groups) - 0.4)
    axes.grid(visible=False, axis="y")


def _name_lines(axes: Any, thresholds: dict[str, float]) -> None:
    """Writes each line's name over it, to its right if there is room, one above the other."""
    low, high = axes.get_xlim()
    for row, (name, value) in enumerate(reversed(thresholds.items())):
        share, width = (value - low) / (high - low), LETTER_WIDTH * len(name)
        axes.annotate(
            name,
            (value, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3 + 12 * row),
            textcoords="offset points",
            ha="left" if share + width < 1.05 else "right",
            va="bottom",
            fontsize=9,
            color=INK,
        )
