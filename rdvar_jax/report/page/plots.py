"""Plots as inline SVG in the page's own colours and font."""

import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

SIZE = 4.0, 2.9  # inches; small, so that text stays readable in a phone's column
# matplotlib needs literal colours, but the page's depend on light or dark mode: these placeholders
# are replaced by variables of its style sheet and occur nowhere else in a plot.
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
    """Draws ROC curves by their name in the legend; None is left out."""

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=LINE, linewidth=1.2, linestyle="--")
        styles = ((ACCENT, "-"), (SECOND, ":"))
        for (name, points), (color, style) in zip(curves.items(), styles, strict=False):
            if points is not None:
                axes.plot(*np.transpose(points), color=color, linestyle=style, label=name)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
        axes.set(xlabel="good called defective (FPR)", ylabel="defective found (TPR)")
        axes.legend(loc="lower right")

    return to_svg("roc", draw)


def pro_plot(points: Sequence[Sequence[float]]) -> str:
    """Draws the PRO curve up to AUPRO's limit, with the area that AUPRO measures."""

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        x, y = np.transpose(points)
        axes.fill_between(x, y, color=ACCENT, alpha=0.15, linewidth=0)
        axes.plot(x, y, color=ACCENT)
        axes.set(xlim=(0, x[-1]), ylim=(0, 1.02))
        axes.set(
            xlabel="defect-free pixels called defective (FPR)", ylabel="share of a region found"
        )

    return to_svg("pro", draw)


def loss_plot(kind: str, epochs: Sequence[float], losses: Sequence[float]) -> str:
    """Draws one loss over the epochs, on a log scale if it spans more than a factor of 10.

    Args:
        kind: of the loss; makes the plot's ids unique in the page.
        epochs, losses: of the same length.
    """

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        few = "o" if len(epochs) < 3 else None
        axes.plot(epochs, losses, color=ACCENT, marker=few)
        if min(losses) > 0 and max(losses) > 10 * min(losses):
            axes.set_yscale("log")
        axes.set(xlabel="epoch")

    return to_svg(kind, draw)


def to_svg(kind: str, draw: Any, size: tuple[float, float] = SIZE) -> str:
    """Returns an <svg> element with the page's colours and with ids specific to `kind`.

    Args:
        kind: of the plot, one of a kind in the page.
        draw: draws into a matplotlib Figure.
        size: in inches.
    """
    import matplotlib
    from matplotlib.figure import Figure

    file = io.StringIO()
    with matplotlib.rc_context({**SETTINGS, "svg.hashsalt": kind}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Keep only ids that are referenced: a page has several plots.
    used = set(re.findall(r"#(\w+)", text))
    text = re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in used else "", text)
    text = re.sub(
        r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 aria-hidden="true">', text, count=1
    )
    for color, variable in COLORS.items():
        text = text.replace(color, f"var({variable})")
    return text.strip()
