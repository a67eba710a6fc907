"""Reads the TFDS sets that `rdvar prepare --source tfds` writes, without TensorFlow.

TFDS stores examples in hashed order. Sorted by path they equal the folder's records, and since the
files themselves are stored, they decode to the same pixels.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from rdvar_jax.data.sets.listing import some_names
from rdvar_jax.data.sets.records import Category, ImageRecord
from rdvar_jax.errors import ConfigError, DataError

NAME = "mvtec_ad"
"""The set's name in TFDS; its configs are the categories."""

SPLITS = ("train", "test", "validation")
LABELS = ("good", "defective")  # as in `ImageRecord.label`; -1 is unlabelled to TFDS too
VERSION = "1.0.0"


@dataclass(frozen=True)
class PackedImage:
    """An image or mask file inside a TFDS set."""

    folder: Path
    split: str
    index: int
    feature: str
    name: str

    def open(self, mode: str = "rb", /) -> IO[bytes]:
        with _errors(self.folder):
            return io.BytesIO(_open_split(self.folder, self.split)[self.index][self.feature])

    @property
    def parent(self) -> Path:
        return self.folder / Path(self.name).parent

    def __str__(self) -> str:
        return f"{self.folder}:{self.name}"


def find_packed(root: Path, category: str) -> Category:
    """Finds the images of `category` in a TFDS set, each list in the folder's order.

    Args:
        root: the `data_dir` of TFDS.
        category: the name of one.

    Raises:
        DataError: there is no such set, or it cannot be read.
        ConfigError: TFDS is not installed.
    """
    folder = packed_folder(root, category)
    if not (folder / "dataset_info.json").is_file():
        made = root / NAME
        names = sorted(path.name for path in made.iterdir()) if made.is_dir() else []
        choice = f"set data.category to one of: {some_names(names)}, or " if names else ""
        raise DataError(
            f"data.source=tfds: there is no set of the category {category!r} in {made}; {choice}"
            f"make it with rdvar prepare --source tfds --data_dir {root}."
        )
    return _read_category(folder, folder.stat().st_mtime_ns)


def packed_folder(root: Path, category: str) -> Path:
    """Returns the folder of a category's set."""
    return root.expanduser() / NAME / category / VERSION


@lru_cache(maxsize=4)  # reading the records reads the images beside them
def _read_category(folder: Path, _: int) -> Category:
    with _errors(folder):
        splits = set(import_tfds().builder_from_directory(folder).info.splits)
        found = {split: _read_split(folder, split) for split in SPLITS if split in splits}
    name = folder.parent.name
    return Category(name=name, folder=folder, layout="tfds", **{"train": (), "test": (), **found})


def _read_split(folder: Path, split: str) -> tuple[ImageRecord, ...]:
    records = []
    for index, example in enumerate(_open_split(folder, split)):
        name = os.fsdecode(example["path"])
        mask = PackedImage(folder, split, index, "mask", f"{name} (mask)")
        records.append(
            ImageRecord(
                path=PackedImage(folder, split, index, "image", name),
                name=name,
                label=int(example["label"]),
                defect=os.fsdecode(example["defect"]),
                mask_path=mask if example["has_mask"] else None,
            )
        )
    return tuple(sorted(records, key=lambda record: record.name))


@lru_cache(maxsize=16)
def _open_split(folder: Path, split: str) -> Any:
    """Opens the examples as stored: image files, not pixels. One reader per process."""
    tfds = import_tfds()
    as_stored = {name: tfds.decode.SkipDecoding() for name in ("image", "mask")}
    return tfds.builder_from_directory(folder).as_data_source(split, decoders=as_stored)


@contextmanager
def _errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except ConfigError:
        raise
    # Everything: TFDS documents no closed set of exceptions.
    except Exception as error:
        raise DataError(
            f"{folder} cannot be read ({error or type(error).__name__}); remove it and run rdvar "
            "prepare --source tfds again."
        ) from error


def import_tfds() -> Any:
    """Imports TFDS, which takes a second and may not be installed."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ConfigError(
            "TFDS sets need tensorflow-datasets; install rdvar-jax[tfds], or read the images from "
            "their folder (data.source=folder)."
        ) from error
    return tfds
