"""VisA (Zou et al. 2022): one list describes the files of all categories.

    ROOT/split_csv/1cls.csv      columns object, split, label, image, mask; paths inside ROOT
    ROOT/<object>/Data/Images/...

Every value above 0 in a mask is defective: VisA writes the number of the defect.
"""

import csv
from pathlib import Path, PurePosixPath

from rdvar_jax.data.sets.listing import Complain
from rdvar_jax.data.sets.records import GOOD, Category, ImageRecord
from rdvar_jax.errors import DataError

SPLIT = "split_csv/1cls.csv"
COLUMNS = ("object", "split", "label", "image", "mask")
SPLITS, LABELS = ("train", "test"), ("normal", "anomaly")


def categories(root: Path) -> list[str]:
    """Returns the names of the objects in the list, sorted.

    Raises:
        DataError: the list cannot be read.
    """
    return sorted({row["object"] for _, row in _read(root / SPLIT)})


def find(folder: Path, complain: Complain) -> Category:
    """Finds the category in `folder`, by the list beside it.

    Complains where a line has an unknown value, a training image is defective, a defective one has
    no mask, an image is listed twice, or there are no images.

    Raises:
        DataError: the list cannot be read.
    """
    split = folder.parent / SPLIT
    if not split.is_file():
        raise DataError(f"The file {split} does not exist; put VisA's list of images there.")
    parts: dict[str, list[ImageRecord]] = {"train": [], "test": []}
    seen: set[str] = set()
    for number, row in _read(split):
        if row["object"] != folder.name:
            continue
        try:
            record = _record(row, folder)
            if record.name in seen:
                raise DataError(f"the image {row['image']} is listed twice; remove one.")
        except DataError as error:
            complain(f"{split}, line {number}: {error}")
            continue
        seen.add(record.name)
        parts[row["split"]].append(record)
    for part, records in parts.items():
        if not records:
            complain(f"{split} lists no image of {folder.name} to {part}; correct it.")
        records.sort(key=lambda record: record.name)
    train, test = tuple(parts["train"]), tuple(parts["test"])
    return Category(folder.name, folder, train, test, layout="visa")


def _record(row: dict[str, str], folder: Path) -> ImageRecord:
    """Makes the record of a line of the list.

    Raises:
        DataError: the line is invalid; the message does not include its number.
    """
    for column, values in (("split", SPLITS), ("label", LABELS)):
        if row[column] not in values:
            raise DataError(
                f"the {column} {row[column]!r} is not one of {', '.join(values)}; correct it."
            )
    name = _inside(row["image"], folder.name)
    is_good = row["label"] == "normal"
    if row["split"] == "train" and not is_good:
        raise DataError("a defective image is listed for training; correct it.")
    if not is_good and not row["mask"]:
        raise DataError(f"the defective image {row['image']} has no mask; add it.")
    mask = None if is_good else folder / _inside(row["mask"], folder.name)
    defect = GOOD if is_good else "anomaly"
    return ImageRecord(folder / name, name, int(not is_good), defect, mask, not is_good)


def _read(split: Path) -> list[tuple[int, dict[str, str]]]:
    """Returns the lines with their numbers."""
    try:
        with split.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(
                    f"{split} has no column {', '.join(missing)}; it must have "
                    f"{', '.join(COLUMNS)}."
                )
            rows = []
            for row in reader:
                if None in row or None in row.values():
                    raise DataError(
                        f"{split}, line {reader.line_num}: does not have as many fields as the "
                        "first line; correct it."
                    )
                rows.append((reader.line_num, dict(row)))
            return rows
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{split} cannot be read ({error}); copy it again.") from error


def _inside(path: str, category: str) -> str:
    """Converts a listed path to one relative to the category's folder."""
    parts = PurePosixPath(path).parts
    if len(parts) < 2 or parts[0] != category or ".." in parts:
        raise DataError(f"the path {path!r} is not in {category}/; correct it.")
    return PurePosixPath(*parts[1:]).as_posix()
