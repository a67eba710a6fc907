"""A folder that images are dropped into: each is returned once, when its file is complete."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from rdvar_jax.data.pixels.image_formats import is_image_name, missing_reader
from rdvar_jax.data.sets.inputs import InputImage
from rdvar_jax.data.sets.listing import warn_left_out
from rdvar_jax.errors import DataError

_State = tuple[int, int]  # size in bytes, time of the last change in ns


class DropFolder:
    """Polls a folder, at any depth, for new images.

    A file counts as complete when its size and time are the same in two polls, so the interval must
    exceed a writer's pauses. Hidden files and files that are not images are ignored; images of a
    format that nothing installed reads are named in a warning, once.

    Each folder is entered once, whatever links lead to it: by its own path if it is below the
    polled folder, else by the first link in the order of names.

    Args:
        folder: the folder to poll.
        done: names of images to ignore.
        output: a folder that is never entered, also by a link: results are written there.
    """

    def __init__(self, folder: Path, done: Collection[str] = (), output: Path | None = None):
        self._folder = folder
        self._output = None if output is None else os.path.realpath(output)
        self._given = set(done)
        self._seen: dict[str, _State] = {}
        self._failed: dict[str, _State] = {}
        self._unread: set[str] = set()  # images without a reader, named once

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
            yield from self._walk()
        except OSError as error:
            raise DataError(
                f"The folder {self._folder} can no longer be listed ({error.strerror}); "
                "restore it, and run the same command again."
            ) from error

    def _walk(self) -> Iterator[str]:
        """Yields names of images, first those that no link leads to.

        Raises:
            OSError: the polled folder cannot be listed; others may have been moved away.
        """
        entered: set[str] = set()
        folders, links = [""], list[str]()
        while folders or links:
            inside = folders.pop() if folders else links.pop(0)
            path = os.path.join(self._folder, inside)
            real = os.path.realpath(path)
            if real in entered or self._is_output(real):
                continue
            entered.add(real)
            try:
                images, inner, linked = self._entries(path)
            except OSError:
                if inside == "":
                    raise
                continue
            yield from (inside + name for name in images)
            folders += [f"{inside}{name}/" for name in inner]
            links = sorted([*links, *(f"{inside}{name}/" for name in linked)])

    def _entries(self, folder: str) -> tuple[list[str], list[str], list[str]]:
        """Lists images, folders, and links to folders, without hidden ones."""
        images, folders, links = list[str](), list[str](), list[str]()
        # Not with data/sets/listing.py, which would warn about every other file at each poll.
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not entry.name.startswith(".")]
        for entry in found:
            try:
                is_folder, is_link = entry.is_dir(), entry.is_symlink()
            except OSError:
                continue
            if is_folder:
                (links if is_link else folders).append(entry.name)
            elif is_image_name(entry.name):
                if not (is_link and self._is_output(os.path.realpath(entry.path))):
                    images.append(entry.name)
            elif missing_reader(entry.name) and entry.path not in self._unread:
                self._unread.add(entry.path)
                warn_left_out(Path(folder), [Path(entry.path)])
        return images, folders, links

    def _is_output(self, real: str) -> bool:
        return self._output is not None and Path(real).is_relative_to(self._output)
