"""Predictions in scores.csv and scores.jsonl, and skipped files in skipped.csv.

Scores have the fewest digits that parse to the same float32. File names that are not UTF-8 keep
their bytes in CSV, and are escaped in JSON as Python's `os.fsdecode` returns them.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from rdvar_jax.files import naming, replacing, write_text

SCORES_CSV, SCORES_JSONL, SKIPPED = "scores.csv", "scores.jsonl", "skipped.csv"
COLUMNS = ("path", "score", "threshold", "verdict", "num_regions", "regions")
SKIPPED_COLUMNS = ("path", "reason")
GOOD, DEFECTIVE = "good", "defective"


@dataclass(frozen=True)
class ImageResult:
    """One image's row.

    Attributes:
        path: its name in the results.
        score: raw, a float32 value.
        threshold: of the verdict, or None.
        verdict: GOOD or DEFECTIVE; None without a threshold.
        num_regions: number of all regions; None if regions were not searched for.
        regions: `box` [x0, y0, x1, y1], `area` and `score` of each, or of the highest ones.
    """

    path: str
    score: float
    threshold: float | None = None
    verdict: str | None = None
    num_regions: int | None = None
    regions: Sequence[dict[str, Any]] | None = None

    def csv_row(self) -> list[str]:
        """Returns the fields of COLUMNS; empty where unknown."""
        return [
            self.path,
            exact(self.score),
            "" if self.threshold is None else exact(self.threshold),
            self.verdict or "",
            "" if self.num_regions is None else str(self.num_regions),
            "" if self.regions is None else json.dumps(list(self.regions), separators=(",", ":")),
        ]

    def json_line(self) -> str:
        """Returns the same fields as a JSON object; null where unknown."""
        threshold = None if self.threshold is None else float(exact(self.threshold))
        values = (
            self.path,
            float(exact(self.score)),
            threshold,
            self.verdict,
            self.num_regions,
            None if self.regions is None else list(self.regions),
        )
        return json.dumps(dict(zip(COLUMNS, values, strict=True)), allow_nan=False) + "\n"


class ScoreLines:
    """The two open score files, with the same images in the same order."""

    def __init__(self, csv_file: IO[str], jsonl_file: IO[str]):
        self._csv, self._jsonl = csv_file, jsonl_file
        self._writer = csv.writer(csv_file, lineterminator="\n")

    def add(self, prediction: ImageResult) -> None:
        """Appends a row to both files and flushes it."""
        # The CSV last: resuming relies on its rows being complete.
        with naming(Path(self._jsonl.name)):
            self._jsonl.write(prediction.json_line())
            self._jsonl.flush()
        with naming(Path(self._csv.name)):
            self._writer.writerow(prediction.csv_row())
            self._csv.flush()


@contextmanager
def new_scores(folder: Path) -> Iterator[ScoreLines]:
    """Opens new files that appear once all rows are written; an error leaves nothing."""
    with replacing(folder / SCORES_CSV) as csv_path, replacing(folder / SCORES_JSONL) as jsonl_path:
        with _open(csv_path, "w") as csv_file, _open(jsonl_path, "w") as jsonl_file:
            csv_file.write(_line(COLUMNS))
            yield ScoreLines(csv_file, jsonl_file)


@contextmanager
def continued_scores(folder: Path) -> Iterator[tuple[ScoreLines, set[str]]]:
    """Opens the folder's files to append to, with the paths that they already contain.

    Partial writes of a killed process are removed: an incomplete last line, and a JSON line whose
    row is missing in the CSV.
    """
    done = _repair(folder / SCORES_CSV, folder / SCORES_JSONL)
    with _open(folder / SCORES_JSONL, "a") as jsonl_file, _open(folder / SCORES_CSV, "a") as file:
        yield ScoreLines(file, jsonl_file), done


def add_skipped(folder: Path, path: str, reason: str) -> None:
    """Appends to `skipped.csv`, which is created if missing."""
    file = folder / SKIPPED
    start = "" if file.exists() else _line(SKIPPED_COLUMNS)
    with _open(file, "a") as opened:
        opened.write(start + _line((path, reason)))


def exact(value: float) -> str:
    """Returns the fewest digits that parse to the same float32."""
    return str(np.float32(value))


def _repair(csv_path: Path, jsonl_path: Path) -> set[str]:
    """Keeps complete rows that are in both files, and returns their paths."""
    text = _read(csv_path)
    rows = list(csv.reader(io.StringIO(text, newline="")))
    if text and not text.endswith("\n"):
        rows.pop()
    rows = [row for row in rows[1:] if len(row) == len(COLUMNS)]
    repaired = "".join(map(_line, (COLUMNS, *rows)))
    if repaired != text:
        write_text(csv_path, repaired)
    done = {row[0] for row in rows}
    lines = {}
    for line in _read(jsonl_path).splitlines():
        try:
            lines.setdefault(json.loads(line)["path"], line + "\n")
        except (ValueError, KeyError, TypeError):
            continue
    repaired = "".join(line for path, line in lines.items() if path in done)
    if repaired != _read(jsonl_path):
        write_text(jsonl_path, repaired)
    return done


def _line(fields: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(fields)
    return text.getvalue()


def _open(path: Path, mode: str) -> IO[str]:
    return path.open(mode, encoding="utf-8", errors="surrogateescape", newline="")


def _read(path: Path) -> str:
    try:
        with _open(path, "r") as file:
            return file.read()
    except FileNotFoundError:
        return ""
