"""Plots as SVG inside of a page, in the page's own colours and font."""

import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

SIZE = 4.0, 2.9  # inches: in the column of a phone letters keep their size
NUM_BINS = 30
# matplotlib wants true colours, and the page has others in light and in dark: these stand for
# variables of its style sheet and are nowhere else in a plot.
COLORS = {
    "#010101": "--ink",
    "#020202": "--muted",
    "#030303": "--line",
    "#040404": "--good",
    "#050505": "--defective",
    "#060606": "--accent",
    "#070707": "--second",
}
INK, MUTED, LINE, GOOD, DEFECTIVE, ACCENT, SECOND = COLORS
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}


def roc_plot(curves: dict[str, Sequence[Sequence[float]] | None]) -> str:
    """ROC curves by the name that the legend shows; None is left out."""

    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=LINE, linewidth=1.2, linestyle="--")
        for (name, points), color in zip(curves.items(), (ACCENT, SECOND), strict=False):
            if points is not None:
                axes.plot(*np.transpose(points), color=color, label=name)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
        axes.set(xlabel="good called defective (FPR)", ylabel="defective found (TPR)")
        axes.legend(loc="lower right")

    return _svg("roc", draw)


def pro_plot(points: Sequence[Sequence[float]]) -> str:
    """The PRO curve as far as AUPRO counts it; the area is what AUPRO measures."""

    def draw(axes: Any) -> None:
        x, y = np.transpose(points)
        axes.fill_between(x, y, color=ACCENT, alpha=0.15, linewidth=0)
        axes.plot(x, y, color=ACCENT)
        axes.set(xlim=(0, x[-1]), ylim=(0, 1.02))
        axes.set(
            xlabel="defect-free pixels called defective (FPR)", ylabel="share of a region found"
        )

    return _svg("pro", draw)


def score_histogram(
    scores: np.ndarray, labels: np.ndarray | None, thresholds: dict[str, float]
) -> str:
    """How often each score occurs, good and defective apart.

    Args:
        scores: float [N].
        labels: 0/1 [N], or None where nothing is known.
        thresholds: vertical lines by the name that the legend shows, "oracle ..." dashed.
    """

    def draw(axes: Any) -> None:
        bins = np.histogram_bin_edges(scores, NUM_BINS)
        groups = [("images", scores, ACCENT)]
        if labels is not None:
            groups = [
                ("good", scores[labels == 0], GOOD),
                ("defective", scores[labels == 1], DEFECTIVE),
            ]
        for name, values, color in groups:
            if len(values):
                style = {"histtype": "stepfilled", "linewidth": 1.2, "edgecolor": color}
                axes.hist(values, bins, label=name, facecolor=(color, 0.35), **style)
        for name, value in thresholds.items():
            style = "--" if name.startswith("oracle") else "-"
            axes.axvline(value, color=INK, linewidth=1.4, linestyle=style, label=name)
        axes.set(xlabel="raw score", ylabel="images")
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.legend(loc="upper right")

    return _svg("histogram", draw)


def loss_plot(kind: str, epochs: Sequence[float], losses: Sequence[float]) -> str:
    """One loss over the epochs; logarithmic where it falls far.

    Args:
        kind: of the loss; makes the plot's own names in the page.
        epochs, losses: of the same length.
    """

    def draw(axes: Any) -> None:
        few = "o" if len(epochs) < 3 else None
        axes.plot(epochs, losses, color=ACCENT, marker=few)
        if min(losses) > 0 and max(losses) > 10 * min(losses):
            axes.set_yscale("log")
        axes.set(xlabel="epoch")

    return _svg(kind, draw)


def _svg(kind: str, draw: Any) -> str:
    """An <svg> element with the page's colours; `kind` tells its names from other plots'."""
    import matplotlib
    from matplotlib.figure import Figure

    file = io.StringIO()
    with matplotlib.rc_context({**SETTINGS, "svg.hashsalt": kind}):
        figure = Figure(figsize=SIZE, layout="constrained")
        draw(figure.add_subplot())
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Of all its names only those that it refers to: a page has several plots.
    used = set(re.findall(r"#(\w+)", text))
    text = re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in used else "", text)
    text = re.sub(
        r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 aria-hidden="true">', text, count=1
    )
    for color, variable in COLORS.items():
        text = text.replace(color, f"var({variable})")
    return text.strip()
