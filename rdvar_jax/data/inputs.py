"""Find images that nothing is known about: files and folders in any order, and their batches."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from rdvar_jax.data.decode import decode_images
from rdvar_jax.data.geometry import Size
from rdvar_jax.data.listing import folder_entries, image_suffixes, some_names
from rdvar_jax.errors import DataError

_logger = logging.getLogger("rdvar_jax")


@dataclass(frozen=True)
class InputImage:
    """One image file, and what it is called in the results."""

    path: Path
    name: str  # inside the folder that was given, with forward slashes; of a file its own name

    def result_name(self, suffix: str) -> str:
        """The name with another suffix: "sub/a.png" for "sub/a.jpg"."""
        return PurePosixPath(self.name).with_suffix(suffix).as_posix()


def find_inputs(inputs: Sequence[Path]) -> list[InputImage]:
    """All images of the files and folders, in their order; a folder's own sorted, at any depth.

    A file is taken whatever its suffix. In a folder, files that are no images are left out with a
    warning, hidden ones without.

    Raises:
        DataError: a path does not exist, a folder holds no image, or two images have one
            `result_name`.
    """
    images: list[InputImage] = []
    for path in inputs:
        if path.is_dir():
            found = list(_walk(path, ()))
            if not found:
                raise DataError(
                    f"The folder {path} holds no image ({image_suffixes()}), at any depth; give "
                    "another folder."
                )
            images += [InputImage(file, file.relative_to(path).as_posix()) for file in found]
        elif path.exists():
            images.append(InputImage(path, path.name))
        else:
            raise DataError(f"{path} does not exist; give an image file or a folder of them.")
    if not images:
        raise DataError("No input is given; give an image file or a folder of them.")
    _check_names(images)
    return images


def decode_batches(
    images: Sequence[InputImage], size: Size, batch_size: int
) -> Iterator[tuple[Sequence[InputImage], np.ndarray]]:
    """The images with their pixels, uint8 [B, H, W, 3], one batch at a time in memory.

    The last batch may be smaller. Files may have any size: each is brought to H x W.

    Raises:
        DataError: an image cannot be read; raised when its batch is due.
    """
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        yield batch, decode_images(batch, size, progress=False, allow_mixed_sizes=True)


def _walk(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    above = (*above, folder.resolve())
    entries = folder_entries(folder)
    if entries.others:
        names = some_names([path.name for path in entries.others])
        _logger.warning("%s: not used, because they are no images: %s", folder, names)
    yield from entries.images
    for inner in entries.folders:
        # A link to a folder above would lead round for ever.
        if inner.resolve() in above:
            _logger.warning("%s: not entered, because it links to a folder above it", inner)
        else:
            yield from _walk(inner, above)


def _check_names(images: Sequence[InputImage]) -> None:
    seen: dict[str, InputImage] = {}
    for image in images:
        other = seen.setdefault(image.result_name(""), image)
        if other is not image:
            raise DataError(
                f"{other.path} and {image.path} would both be written as "
                f"{image.result_name('.png')}; leave one out, rename it, or give the folder that "
                "holds both."
            )
