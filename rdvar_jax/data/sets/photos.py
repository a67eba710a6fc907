"""Photographs without a layout: good ones in any folders, perhaps known defects in others."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from rdvar_jax.data.sets.folder import detect_layout
from rdvar_jax.data.sets.good_names import looks_good
from rdvar_jax.data.sets.inputs import InputImage, find_inputs
from rdvar_jax.data.sets.listing import some_names
from rdvar_jax.data.sets.records import GOOD, Category, ImageRecord
from rdvar_jax.errors import DataError

BAD, DEFECTIVE = "bad", "defective"

# Folders inside the good photographs whose names say that their images are not good.
_SOUND_BAD = re.compile(
    r"(?:.*[\W_\d])?(?:bad|defects?|defective|ng|nok|notok|not_good|faulty|rejects?|rejected|scrap"
    r"|anomaly|anomalies|anomalous|abnormal|schlecht|ausschuss|defekt|fehler)(?:[\W_\d].*)?",
    re.IGNORECASE,
)
# Folders that hold no photographs.
_MASKS = ("ground_truth", "masks")


def find_photos(good: Sequence[Path], bad: Sequence[Path] = ()) -> Category:
    """Finds photographs of files, folders and patterns; see `find_inputs`.

    Args:
        good: to train on.
        bad: known defects; the first folder below an input is the kind of defect, or else, where
            there are several inputs, the input itself.

    Returns:
        A category whose test images are the known defects, perhaps none. Names begin with "good/"
        or "bad/", and with the input's number and name where there are several of them.

    Raises:
        DataError: a path does not exist or has no image, a file is given as good and as bad, or a
            folder among the good ones sounds of defects.
    """
    train = tuple(
        ImageRecord(image.path, f"{GOOD}/{prefix}{image.name}", 0, GOOD, None)
        for prefix, image in _numbered(good)
    )
    _refuse_doubtful(train)
    test = tuple(
        ImageRecord(image.path, f"{BAD}/{prefix}{image.name}", 1, _kind(prefix, image), None)
        for prefix, image in _numbered(bad)
    )
    files = {record.path.resolve(): record for record in train if isinstance(record.path, Path)}
    for record in test:
        if isinstance(record.path, Path) and record.path.resolve() in files:
            raise DataError(
                f"{record.path} is given both as a good image and, with --bad, as a defective one; "
                "leave it out of one of them."
            )
    folder = good[0] if good[0].is_dir() else good[0].parent
    return Category(
        category_name(good),
        folder,
        tuple(sorted(train, key=lambda record: record.name)),
        tuple(sorted(test, key=lambda record: record.name)),
        layout="photographs",
    )


def category_name(good: Sequence[Path]) -> str:
    """Returns the name of the first folder, or of one above it that is not just "good"."""
    for folder in (path := Path(good[0]).absolute(), *path.parents):
        if folder.name and folder.name != "train" and not looks_good(folder.name):
            return folder.name
    return path.name or "photographs"


def labelled_folder(folder: Path) -> str | None:
    """Says why a folder is a data set with a layout of its own; None for plain photographs."""
    if not folder.is_dir():
        return None
    layout, reason = detect_layout(folder)
    has_parts = any((folder / name).is_dir() for name in ("train", "test"))
    return reason if has_parts or layout == "visa" else None


def _numbered(inputs: Sequence[Path]) -> list[tuple[str, InputImage]]:
    """Returns the images of all inputs, each with what its name begins with."""
    if len(inputs) <= 1:
        return [("", image) for image in (find_inputs(inputs) if inputs else ())]
    found, seen = [], set()
    for index, path in enumerate(inputs):
        prefix = f"{index + 1}_{Path(path).absolute().name}/"
        for image in find_inputs([path]):
            # A file in two inputs counts once.
            if (real := image.path.resolve()) not in seen:
                seen.add(real)
                found.append((prefix, image))
    return found


def _kind(prefix: str, image: InputImage) -> str:
    """Returns the first folder below the input, else the input's own name if there are several."""
    folders = PurePosixPath(image.name).parts[:-1]
    own = prefix.rstrip("/").partition("_")[2]
    return folders[0] if folders else own or DEFECTIVE


def _refuse_doubtful(train: Sequence[ImageRecord]) -> None:
    folders = {
        str(parent): None
        for record in train
        for parent in PurePosixPath(record.name).parents
        if _SOUND_BAD.fullmatch(parent.name) or parent.name in _MASKS
    }
    if folders:
        names = [name.removeprefix(f"{GOOD}/") for name in folders]
        raise DataError(
            f"The good images hold {'the folder' if len(names) == 1 else 'folders'} "
            f"{some_names(names)}, whose name does not sound of good parts; give known defects "
            "with --bad, and only folders of good images first."
        )
