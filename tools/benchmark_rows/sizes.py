"""The table of sizes: this project's time over PyTorch's, a line for each backbone and size."""

from collections.abc import Sequence
from typing import Any

from benchmark_rows.tables import percent, table

COLUMNS = {
    "step": "step",
    "cached_step": "step, features kept",
    "score_1": "scoring 1",
    "score_8": "scoring 8",
}
"""Groups with a ratio over PyTorch, and their titles."""

KINDS = {"seconds_median": "medians", "seconds_min": "minima"}


def sizes_markdown(cells: Sequence[dict[str, Any]]) -> str:
    """Two tables, by medians and by minima; nothing where no cell has such a group.

    Args:
        cells: of a report, in any order; of several reports, too.
    """
    chosen = [cell for cell in cells if set(COLUMNS) & set(cell["groups"])]
    if not chosen:
        return ""
    chosen = sorted(chosen, key=lambda cell: (cell["arch"], cell["image_size"]))
    return "\n\n".join(_table(chosen, key, title) for key, title in KINDS.items())


def _table(cells: Sequence[dict[str, Any]], key: str, title: str) -> str:
    header = ["backbone", "size", *COLUMNS.values(), "share of the matrix peak (step)"]
    lines = [
        [
            cell["arch"],
            str(cell["image_size"]),
            *(_ratio(cell["groups"].get(group), key) for group in COLUMNS),
            _share(cell["groups"].get("step")),
        ]
        for cell in cells
    ]
    return f"Here / PyTorch tuned, by {title}:\n\n{table(header, lines)}"


def _ratio(group: dict[str, Any] | None, key: str) -> str:
    if group is None:
        return ""
    if group["disturbed"]:
        return "disturbed"
    if not group["ratios"]:
        return "no PyTorch"
    (ratio,) = group["ratios"].values()
    return f"{ratio[key]:.2f}"


def _share(group: dict[str, Any] | None) -> str:
    """Of this project's row, the first."""
    return "" if group is None else percent(next(iter(group["rows"].values()))["share_of_peak"])
