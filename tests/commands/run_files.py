"""What commands write, read without this project's code."""

import csv
import json
from pathlib import Path

import numpy as np


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_scores(path: Path) -> dict[str, np.float32]:
    """The scores of a scores.csv by path."""
    return {row["path"]: np.float32(row["score"]) for row in read_rows(path)}


def read_lines(path: Path, *left_out: str) -> list[dict]:
    """The objects of a file of JSON lines, without the names in `left_out`."""
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [{k: v for k, v in line.items() if k not in left_out} for line in lines]


def metrics_lines(workdir: Path) -> list[dict]:
    """The lines of a run's metrics.jsonl, without what is of the clock."""
    return read_lines(workdir / "metrics.jsonl", "images_per_second", "data_wait", "sha256")
