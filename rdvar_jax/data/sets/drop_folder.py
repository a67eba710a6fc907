"""A folder that images are dropped into: each is returned once, when its file is complete."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from rdvar_jax.data.sets.inputs import InputImage
from rdvar_jax.data.sets.listing import IMAGE_SUFFIXES
from rdvar_jax.errors import DataError

_State = tuple[int, int]  # size in bytes, time of the last change in ns


class DropFolder:
    """Polls a folder, at any depth, for new images.

    A file counts as complete when its size and time are the same in two polls, so the interval must
    exceed a writer's pauses. Hidden files and files that are not images are ignored.

    Args:
        folder: the folder to poll.
        done: names of images to ignore.
    """

    def __init__(self, folder: Path, done: Collection[str] = ()):
        self._folder = folder
        self._given = set(done)
        self._seen: dict[str, _State] = {}
        self._failed: dict[str, _State] = {}

    def poll(self) -> list[InputImage]:
        """Returns the images that are new and complete, oldest first.

        Raises:
            DataError: the folder can no longer be listed.
        """
        seen: dict[str, _State] = {}
        whole: list[tuple[int, str]] = []
        for name in self._names():
            if name in self._given:
                continue
            try:
                status = (self._folder / name).stat()
            except OSError:  # moved away again, or a link to nowhere
                continue
            state = status.st_size, status.st_mtime_ns
            if self._failed.get(name) == state:
                continue
            seen[name] = state
            if self._seen.get(name) == state:
                whole.append((status.st_mtime_ns, name))
        self._seen = seen
        self._given.update(name for _, name in whole)
        return [InputImage(self._folder / name, name) for _, name in sorted(whole)]

    def give_again_if_changed(self, image: InputImage) -> None:
        """Returns an unreadable image again once its file changes: it may have been incomplete."""
        self._failed[image.name] = self._seen[image.name]
        self._given.discard(image.name)

    def _names(self) -> Iterator[str]:
        try:
            yield from _walk(str(self._folder), "", ())
        except OSError as error:
            raise DataError(
                f"The folder {self._folder} can no longer be listed ({error.strerror}); "
                "restore it, and run the same command again."
            ) from error


def _walk(folder: str, inside: str, above: tuple[str, ...]) -> Iterator[str]:
    """Yields names of images in a folder, which is `inside` the polled one."""
    above = (*above, os.path.realpath(folder))
    # Not with data/sets/listing.py, which would warn about every other file at each poll.
    with os.scandir(folder) as entries:
        found = [entry for entry in entries if not entry.name.startswith(".")]
    for entry in found:
        name = f"{inside}{entry.name}"
        try:
            is_folder = entry.is_dir()
        except OSError:
            continue
        if not is_folder:
            if Path(entry.name).suffix.lower() in IMAGE_SUFFIXES:
                yield name
        # A link to a folder above would recurse endlessly.
        elif os.path.realpath(entry.path) not in above:
            try:
                yield from _walk(entry.path, f"{name}/", above)
            except OSError:  # a folder in it that was moved away
                continue
