"""Folders of images that people labelled while a run was in use: `good` and `defective`."""

from pathlib import Path

from rdvar_jax.errors import DataError

LABELS = ("good", "defective")


def find_feedback(folder: Path) -> tuple[list[Path], list[Path]]:
    """Returns the folders of good and of defective images that there are, at least one.

    Args:
        folder: that of one part, in the folder of `rdvar serve --feedback`.

    Raises:
        DataError: it has no labelled images.
    """
    good, defective = (
        [path] if path.is_dir() and any(path.iterdir()) else []
        for path in (folder / label for label in LABELS)
    )
    if good or defective:
        return good, defective
    parts = [] if not folder.is_dir() else sorted(p for p in folder.iterdir() if p.is_dir())
    named = [part for part in parts if any((part / label).is_dir() for label in LABELS)]
    if named:
        raise DataError(
            f"{folder} holds the images of parts; give one of them, such as {named[0]}."
        )
    raise DataError(
        f"{folder} holds no labelled images (folders {LABELS[0]} and {LABELS[1]}); give the folder "
        "of one part in that of rdvar serve --feedback."
    )
