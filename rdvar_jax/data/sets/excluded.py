"""Leaves images out by name or pattern."""

import difflib
import glob
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TypeVar

from rdvar_jax.data.sets.listing import some_names
from rdvar_jax.data.sets.records import HasPath
from rdvar_jax.errors import DataError

_Image = TypeVar("_Image", bound=HasPath)

_MAX_NEAR = 3


def exclude(
    images: Sequence[_Image], patterns: Sequence[str]
) -> tuple[list[_Image], tuple[str, ...]]:
    """Leaves out the images that a name or a pattern matches.

    A pattern is compared with an image's name as commands print it ("sub/a.png"), with its path as
    it was given, and with the file's own name ("a.png"). If one of these is equal to it, it is
    taken literally, also with `*?[` in it; otherwise `*` matches any text, folders included.

    Args:
        images: the images.
        patterns: names and patterns.

    Returns:
        The other images, in their order, and the names of those left out.

    Raises:
        DataError: a pattern matches nothing, or all images are left out.
    """
    left_out: set[int] = set()
    for pattern in patterns:
        found = _matches(images, pattern)
        if not found:
            raise DataError(
                f"--exclude {pattern} matches none of the {len(images)} good images; "
                f"{_hint(images, pattern)}."
            )
        left_out.update(found)
    kept = [image for index, image in enumerate(images) if index not in left_out]
    if patterns and not kept:
        raise DataError(
            f"--exclude leaves out all {len(images)} good images; leave out fewer of them."
        )
    return kept, tuple(images[index].name for index in sorted(left_out))


def _matches(images: Sequence[HasPath], pattern: str) -> list[int]:
    # Longest first: "a.png" directly in a folder is meant before "sub/a.png".
    for text in (lambda image: image.name, lambda image: str(image.path), _file_name):
        found = [index for index, image in enumerate(images) if text(image) == pattern]
        if found:
            return found
    if not glob.has_magic(pattern):
        return []
    return [
        index
        for index, image in enumerate(images)
        if any(fnmatchcase(text, pattern) for text in (image.name, str(image.path)))
        or fnmatchcase(_file_name(image), pattern)
    ]


def _file_name(image: HasPath) -> str:
    return PurePosixPath(image.name).name


def _hint(images: Sequence[HasPath], pattern: str) -> str:
    names = {text: None for image in images for text in (image.name, _file_name(image))}
    near = difflib.get_close_matches(pattern, list(names), n=_MAX_NEAR)
    if near:
        return f"near names: {some_names(near)}"
    return f"their names are such as {some_names([image.name for image in images[:_MAX_NEAR]])}"
