"""Predictions in scores.csv and scores.jsonl, and skipped files in skipped.csv.

Fields with line breaks are quoted, so Python's csv module reads every file name back. Scores have
the fewest digits that parse to the same float32. File names that are not UTF-8 keep their bytes in
CSV, and are escaped in JSON as Python's `os.fsdecode` returns them.
"""

import csv
import io
import json
import logging
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from rdvar_jax.files.replacing import csv_line, naming, replacing, write_bytes, write_text

SCORES_CSV, SCORES_JSONL, SKIPPED = "scores.csv", "scores.jsonl", "skipped.csv"
COLUMNS = ("path", "score", "threshold", "verdict", "num_regions", "regions")
SKIPPED_COLUMNS = ("path", "reason")
GOOD, DEFECTIVE = "good", "defective"
NEW_FILES = (SCORES_CSV, SCORES_JSONL, SKIPPED)

_logger = logging.getLogger("rdvar_jax")


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

    @classmethod
    def of_csv_row(cls, row: Sequence[str]) -> "ImageResult":
        """Reads the fields of COLUMNS back.

        Raises:
            ValueError: they are not such a row.
        """
        path, score, threshold, verdict, num_regions, regions = row
        return cls(
            path,
            float(np.float32(score)),
            float(np.float32(threshold)) if threshold else None,
            verdict or None,
            int(num_regions) if num_regions else None,
            json.loads(regions) if regions else None,
        )._checked()

    @classmethod
    def of_json_line(cls, line: str) -> "ImageResult":
        """Reads a line of `json_line` back.

        Raises:
            ValueError: it is not such a line.
        """
        try:
            values = json.loads(line)
            if tuple(values) != COLUMNS:
                raise ValueError("not the fields of a row")
            return cls(**values)._checked()
        except (TypeError, OverflowError, RecursionError) as error:
            raise ValueError("not a row") from error

    def _checked(self) -> "ImageResult":
        numbers = (self.score, self.threshold or 0.0)
        if (
            not isinstance(self.path, str)
            or not self.path
            or not all(isinstance(x, int | float) and math.isfinite(x) for x in numbers)
            or self.verdict not in (None, GOOD, DEFECTIVE)
            or not isinstance(self.num_regions, int | None)
            or not isinstance(self.regions, list | None)
        ):
            raise ValueError("not a row")
        return self

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

    def add(self, prediction: ImageResult) -> None:
        """Appends a row to both files and flushes it."""
        with naming(Path(self._jsonl.name)):
            self._jsonl.write(prediction.json_line())
            self._jsonl.flush()
        with naming(Path(self._csv.name)):
            self._csv.write(csv_line(prediction.csv_row()))
            self._csv.flush()


@contextmanager
def new_scores(folder: Path) -> Iterator[ScoreLines]:
    """Opens new files that appear once all rows are written; an error leaves nothing."""
    with replacing(folder / SCORES_CSV) as csv_path, replacing(folder / SCORES_JSONL) as jsonl_path:
        with _open(csv_path, "w") as csv_file, _open(jsonl_path, "w") as jsonl_file:
            csv_file.write(csv_line(COLUMNS))
            yield ScoreLines(csv_file, jsonl_file)


@contextmanager
def continued_scores(folder: Path) -> Iterator[tuple[ScoreLines, set[str]]]:
    """Opens the folder's files to append to, with the paths that they already contain.

    Both are repaired first. A row that only one of them has whole is restored in the other, an
    incomplete or damaged one is removed, and so are two of an image that differ: that image is to
    be scored again. A warning names them.
    """
    for name in NEW_FILES:
        _unlink_from_others(folder / name)
    rows = _repair(folder / SCORES_CSV, folder / SCORES_JSONL)
    with _open(folder / SCORES_JSONL, "a") as jsonl_file, _open(folder / SCORES_CSV, "a") as file:
        yield ScoreLines(file, jsonl_file), set(rows)


def add_skipped(folder: Path, path: str, reason: str) -> None:
    """Appends to `skipped.csv`, which is created if missing."""
    file = folder / SKIPPED
    start = "" if file.exists() else csv_line(SKIPPED_COLUMNS)
    with _open(file, "a") as opened:
        opened.write(start + csv_line((path, reason)))


def exact(value: float) -> str:
    """Returns the fewest digits that parse to the same float32."""
    return str(np.float32(value))


def _repair(csv_path: Path, jsonl_path: Path) -> dict[str, ImageResult]:
    """Brings both files to the same rows, in one order, and returns them by path."""
    text, lines = _read(csv_path), _read(jsonl_path)
    in_csv, damaged = _csv_rows(text)
    in_jsonl, damaged_lines = _json_rows(lines)
    differing = {
        path
        for path in in_csv.keys() & in_jsonl.keys()
        if in_csv[path].csv_row() != in_jsonl[path].csv_row()
    }
    # In the order of scoring: a JSON line is written before its row.
    rows = {path: row for path, row in {**in_jsonl, **in_csv}.items() if path not in differing}
    restored, cut = len(in_csv.keys() ^ in_jsonl.keys()), damaged + damaged_lines
    if restored or cut or differing:
        _logger.warning(
            "%s and %s did not agree, as after a kill: restored from the other file: %d rows; cut "
            "off or damaged: %d; different in the two, so scored again: %s",
            *(csv_path, jsonl_path.name, restored, cut),
            ", ".join(sorted(differing)[:10]) if differing else "none",
        )
    repaired = "".join(map(csv_line, (COLUMNS, *(row.csv_row() for row in rows.values()))))
    if repaired != text:
        write_text(csv_path, repaired)
    repaired = "".join(row.json_line() for row in rows.values())
    if repaired != lines:
        write_text(jsonl_path, repaired)
    return rows


def _csv_rows(text: str) -> tuple[dict[str, ImageResult], int]:
    """Returns the whole rows by path, and the number of others."""
    found, damaged = {}, 0
    text = text.replace("\0", "?")  # in no path, and refused by some versions of the csv module
    try:
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except csv.Error:  # a quote too many, and a field of half the file
        rows = [row for line in text.split("\n") for row in _row_of_line(line)]
    if text and not text.endswith("\n"):
        rows.pop()
        damaged += 1
    for row in rows[1:] if rows[:1] == [list(COLUMNS)] else rows:
        try:
            result = ImageResult.of_csv_row(row)
            found.setdefault(result.path, result)
        except (ValueError, OverflowError, RecursionError):
            damaged += 1
    return found, damaged


def _row_of_line(line: str) -> list[list[str]]:
    try:
        return list(csv.reader([line]))
    except csv.Error:
        return [[]]


def _json_rows(text: str) -> tuple[dict[str, ImageResult], int]:
    found, damaged = {}, 0
    for line in text.split("\n")[:-1]:
        try:
            result = ImageResult.of_json_line(line)
            found.setdefault(result.path, result)
        except ValueError:
            damaged += 1
    return found, damaged + (not text.endswith("\n") and bool(text))


def _unlink_from_others(path: Path) -> None:
    """Makes a linked file one of its own, so that appending to it changes no other file."""
    if path.is_symlink() or (path.exists() and os.stat(path).st_nlink > 1):
        write_bytes(path, path.read_bytes() if path.exists() else b"")


def _open(path: Path, mode: str) -> IO[str]:
    return path.open(mode, encoding="utf-8", errors="surrogateescape", newline="")


def _read(path: Path) -> str:
    try:
        with _open(path, "r") as file:
            return file.read()
    except FileNotFoundError:
        return ""
