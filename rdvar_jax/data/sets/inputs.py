"""Finds unlabelled images by file, folder or pattern, and decodes them in batches."""

import glob
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np

from rdvar_jax.data.loading.ahead import ahead
from rdvar_jax.data.loading.tiles import own_size
from rdvar_jax.data.pixels.decode import FileFacts, decode_file
from rdvar_jax.data.pixels.file_errors import pillow_warnings
from rdvar_jax.data.pixels.geometry import Size, as_geometry
from rdvar_jax.data.pixels.image_formats import image_suffixes, is_image_name, missing_reader
from rdvar_jax.data.pixels.kept_pictures import KeptPictures
from rdvar_jax.data.pixels.set_remarks import SetRemarks
from rdvar_jax.data.sets.listing import folder_entries, warn_left_out
from rdvar_jax.data.sets.records import HasPath
from rdvar_jax.errors import DataError
from rdvar_jax.files.replacing import MAX_NAME_BYTES

_Image = TypeVar("_Image", bound=HasPath)

_LONGEST_SUFFIX = ".png"  # of a result; ".npy" and ".jpg" are as long
_NOT_AN_IMAGE = "they are not images"

_logger = logging.getLogger("rdvar_jax")


@dataclass(frozen=True)
class InputImage:
    """One image file, and its name in the results."""

    path: Path
    name: str  # relative to the given folder, with forward slashes; a single file's own name
    keep_suffix: bool = False  # another image has the same name but for the suffix

    def result_name(self, suffix: str) -> str:
        """Returns the name of a result: "sub/a.png" for "sub/a.jpg", or "sub/a.jpg.png"."""
        if self.keep_suffix:
            return self.name + suffix
        return PurePosixPath(self.name).with_suffix(suffix).as_posix()


def find_inputs(inputs: Sequence[Path], unread: dict[str, str] | None = None) -> list[InputImage]:
    """Finds all images of the files, folders and patterns, in that order; sorted within each.

    A file is taken whatever its suffix. A folder is searched at any depth; files that are not
    images are left out with a warning, hidden ones without. A path that does not exist and has one
    of `*?[` in its name is a pattern, in which `**` matches any folders; its parts that exist as
    they are written are literal. Matching images are named relative to the last folder before the
    first part that is not.

    Images of a format that nothing installed reads are left out of folders and patterns, with a
    warning; `unread` takes why by their names.

    A file that is found twice is taken once. In one folder no two images have the same
    `result_name`.

    Raises:
        DataError: a path does not exist, or a folder or pattern has no image.
    """
    images: list[InputImage] = []
    others: list[Path] = []
    for path in inputs:
        base = path
        if path.is_dir():
            found = list(_walk(path, (), others))
            if not found:
                raise DataError(
                    f"The folder {path} holds no image ({image_suffixes()}), at any depth; pass "
                    "another folder."
                )
            images += [InputImage(file, file.relative_to(path).as_posix()) for file in found]
        elif path.exists():
            images.append(InputImage(path, path.name))
        elif glob.has_magic(str(path)):
            images += _matches(path, others)
            base = literal_folder(path)[0]
        else:
            raise DataError(f"{path} does not exist; pass an image file or a folder of them.")
        for other in others:
            if unread is not None and (install := missing_reader(other)):
                unread[other.relative_to(base).as_posix()] = (
                    f"{other} is of a format that nothing installed reads; run {install}, or save "
                    "it as JPEG or PNG."
                )
        others.clear()
    if not images:
        raise DataError("No input is given; pass an image file or a folder of them.")
    return _with_result_names(_once(images))


def check_result_names(images: Sequence[InputImage], key: Callable[[str], str] = str) -> None:
    """Raises a DataError where a result cannot be written, or two would be the same file.

    Args:
        images: the images.
        key: equal for names that are one file where results are written.
    """
    seen: dict[str, InputImage] = {}
    for image in images:
        if problem := result_problem(image):
            raise DataError(problem)
        other = seen.setdefault(key(image.result_name("")), image)
        if other is not image:
            raise DataError(
                f"{other.path} and {image.path} would both be written as "
                f"{image.result_name('.png')}; leave one out, rename it, or pass the folder that "
                "holds both."
            )


def result_problem(image: InputImage) -> str | None:
    """Says why the results of an image cannot have its name; None if they can."""
    parts = PurePosixPath(image.result_name(_LONGEST_SUFFIX)).parts
    if ".." in parts or PurePosixPath(image.name).is_absolute():
        return f"{image.path} would be written outside of the output; give its folder as input."
    # Kept whole, so that each result can be found by its image's name.
    if any(len(os.fsencode(part)) > MAX_NAME_BYTES for part in parts):
        return f"{image.path} has a name too long for its results; rename it."
    return None


def decode_batches(
    images: Sequence[_Image],
    size: Size,
    batch_size: int,
    skip: Callable[[_Image, str], None] | None = None,
    remarks: SetRemarks | None = None,
    kept: KeptPictures | None = None,
) -> Iterator[tuple[Sequence[_Image], np.ndarray]]:
    """Yields batches of images with their pixels, uint8 [B, H, W, 3].

    While a batch is used, threads decode the next one; no more are in memory. The last batch may be
    smaller. Files of any size are resized to H x W. Tiled images keep their own size and are
    yielded one at a time.

    Args:
        images: the images.
        size: H x W, and the geometry.
        batch_size: B.
        skip: called with each unreadable image and the reason; the image is left out.
        remarks: takes the facts of each image.
        kept: takes the picture of each image at its own size.

    Raises:
        DataError: an image cannot be read and `skip` is None; raised when its batch is due.
    """
    geometry = as_geometry(size)
    batch_size = 1 if geometry.is_tiled else batch_size

    def decode(image: HasPath) -> tuple[np.ndarray, FileFacts] | DataError:
        try:
            own = own_size(image.path, geometry) if geometry.is_tiled else geometry
            return decode_file(image.path, own, kept)
        except DataError as error:
            return error

    # Entered once around all threads, so that the filters are not set for each file.
    with (
        pillow_warnings(geometry.reading.max_pixels),
        ahead(decode, images, batch_size) as decoded,
    ):
        for start in range(0, len(images), batch_size):
            batch, pixels = [], []
            for image, found in zip(images[start : start + batch_size], decoded, strict=False):
                if isinstance(found, DataError):
                    if skip is None:
                        raise found
                    skip(image, str(found))
                    continue
                batch.append(image)
                pixels.append(found[0])
                if remarks is not None:
                    remarks.note(image.path, found[1])
            if batch:
                yield batch, np.stack(pixels)


def _matches(pattern: Path, others: list[Path]) -> list[InputImage]:
    """Returns the images that match a pattern, and collects other files in `others`."""
    base, rest = literal_folder(pattern)
    if ".." in rest:
        raise DataError(
            f"The pattern {pattern} has .. after its first *, ? or [, so its images would have no "
            "name below one folder; write the pattern without it."
        )
    files = sorted((path for path in _expand(base, rest) if not path.is_dir()), key=str)
    files = [path for path in files if not _is_in_link_cycle(base, path)]
    images = [path for path in files if is_image_name(path)]
    others += [path for path in files if path not in set(images)]
    warn_left_out(pattern, others, _NOT_AN_IMAGE)
    if not images:
        raise DataError(
            f"The pattern {pattern} matches no image ({image_suffixes()}); pass another pattern, "
            "an image file or a folder of them."
        )
    return [InputImage(path, path.relative_to(base).as_posix()) for path in images]


def literal_folder(pattern: Path) -> tuple[Path, list[str]]:
    """Splits a pattern into its first folders, which are literal, and the parts after them.

    Images that match are named relative to these folders.
    """
    base, rest = Path(), list(pattern.parts)
    while len(rest) > 1 and (not glob.has_magic(rest[0]) or (base / rest[0]).exists()):
        base /= rest.pop(0)
    return base, rest


def _expand(base: Path, parts: Sequence[str]) -> list[Path]:
    """Finds what matches a pattern's parts; one that exists as it is written is literal."""
    found = [base]
    for index, part in enumerate(parts):
        literal = [folder / part for folder in found if os.path.lexists(folder / part)]
        if literal or not glob.has_magic(part):
            found = literal
            continue
        # `**` matches folders alone, except at the end.
        end = (part, "") if part == "**" and index + 1 < len(parts) else (part,)
        patterns = [os.path.join(glob.escape(str(folder)), *end) for folder in found]
        matches = (Path(one) for each in patterns for one in glob.glob(each, recursive=True))
        found = list(dict.fromkeys(matches))
    return found


def _is_in_link_cycle(base: Path, path: Path) -> bool:
    """Whether a link between `base` and the file points to a folder above it."""
    if not any(folder.is_symlink() for folder in path.parents):
        return False
    way = [folder.resolve() for folder in path.parents if folder.is_relative_to(base)]
    return len(set(way)) < len(way)


def _walk(folder: Path, above: tuple[Path, ...], others: list[Path]) -> Iterator[Path]:
    """Yields the images of a folder at any depth, and collects other files in `others`."""
    above = (*above, folder.resolve())
    entries = folder_entries(folder)
    others += entries.others
    warn_left_out(folder, entries.others, _NOT_AN_IMAGE)
    yield from entries.images
    for inner in entries.folders:
        # A link to a folder above would recurse endlessly.
        if inner.resolve() in above:
            _logger.warning("%s: not entered, because it links to a folder above it", inner)
        else:
            yield from _walk(inner, above, others)


def _once(images: Sequence[InputImage]) -> list[InputImage]:
    """Leaves out files that an earlier input has, which would count twice in a threshold."""
    first: dict[str, InputImage] = {}
    for image in images:
        first.setdefault(os.path.abspath(image.path), image)
    if len(first) < len(images):
        number = len(images) - len(first)
        _logger.warning("%d images are in two inputs; each is taken once", number)
    return list(first.values())


def _with_result_names(images: list[InputImage]) -> list[InputImage]:
    """Keeps the suffixes of images that differ in nothing else, such as a.png and a.jpg."""
    while True:
        names: dict[str, set[str]] = {}
        for image in images:
            names.setdefault(image.result_name(""), set()).add(image.name)
        kept = [
            replace(image, keep_suffix=image.keep_suffix or len(names[image.result_name("")]) > 1)
            for image in images
        ]
        if kept == images:
            return images
        images = kept  # a.jpg.png, beside both, now has the same name as a.jpg
