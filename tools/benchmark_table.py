"""Prints the table of sizes from reports of tools/benchmark.py.

    python tools/benchmark_table.py REPORT.json ...

A line for each backbone and image size: this project's time over that of PyTorch tuned, by medians
and by minima, and the step's share of the speed of a matrix product. A cell that several reports
measured is taken from the last of them.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmark_rows.sizes import sizes_markdown


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reports", type=Path, nargs="+", help="JSON files of tools/benchmark.py")
    args = parser.parse_args()
    cells: dict[tuple[str, int], dict[str, Any]] = {}
    for path in args.reports:
        try:
            report = json.loads(path.read_text())
            found = report["cells"]
        except (OSError, ValueError, KeyError, TypeError):
            parser.error(f"{path} is no report of tools/benchmark.py; measure again with it.")
        for cell in found:
            key = (cell["arch"], cell["image_size"])
            groups = cells[key]["groups"] if key in cells else {}
            cells[key] = {**cell, "groups": {**groups, **cell["groups"]}}
    text = sizes_markdown(list(cells.values()))
    if not text:
        parser.error("no report has the groups step, cached_step, score_1 or score_8.")
    print(text)


if __name__ == "__main__":
    main()
