"""Judges images as they are dropped into a folder, beside those that come by HTTP."""

import asyncio
import logging
import os
from collections.abc import Collection
from pathlib import Path

from rdvar_jax.data.sets.drop_folder import DropFolder
from rdvar_jax.data.sets.inputs import InputImage
from rdvar_jax.errors import DataError
from rdvar_jax.server.judging.examined import Upload
from rdvar_jax.server.judging.ledger import LogError
from rdvar_jax.server.judging.part import Part
from rdvar_jax.server.judging.scoring_queue import Closed, QueueFull
from rdvar_jax.server.judging.station import Station

INTERVAL = 1.0  # seconds between two scans
AT_ONCE = 8  # images, so that there is room in the queue for others

_logger = logging.getLogger("rdvar_jax")


class Watcher:
    """Polls a folder; a file is judged once, when it did not change between two scans.

    With several parts an image belongs to that whose name its folder in the watched one has.
    Images that cannot be read are named in a warning, and tried again when they change. If the
    queue is full or the log cannot be written, it waits.

    Args:
        station: judges them.
        folder: searched at any depth.
        done: names of images that have a verdict already.
        interval: seconds between two scans.
    """

    def __init__(
        self,
        station: Station,
        folder: Path,
        done: Collection[str] = (),
        interval: float = INTERVAL,
    ):
        self._station, self._folder = station, folder
        self._drop, self._interval = DropFolder(folder, done), interval
        self._stopped, self._is_lost = asyncio.Event(), False

    async def run(self) -> None:
        """Polls until `stop`."""
        while not self._stopped.is_set():
            for images in _chunks(await self._poll()):
                await asyncio.gather(*map(self._judge, images))
                if self._stopped.is_set():
                    return
            await self._wait()

    def stop(self) -> None:
        """Ends `run` once the images in work are judged."""
        self._stopped.set()

    async def _poll(self) -> list[InputImage]:
        try:
            found = await asyncio.to_thread(self._drop.poll)
        except DataError as error:
            if not self._is_lost:  # said once; the server goes on, and the folder may come back
                _logger.warning("%s", error)
            self._is_lost = True
            return []
        self._is_lost = False
        return found

    async def _judge(self, image: InputImage) -> None:
        try:
            part = self._part_of(image)
            upload = Upload.of(image.name, await asyncio.to_thread(image.path.read_bytes))
            watched = os.path.join(os.path.abspath(self._folder), image.name)
            has_waited = False
            while not self._stopped.is_set():
                try:
                    (answer,) = await self._station.examine(part, [upload], watched=watched)
                    verdict = answer.verdict
                    _logger.info("%s: %s", image.name, verdict.verdict or verdict.score)
                    return
                except (QueueFull, LogError) as error:
                    if not has_waited:
                        _logger.warning("%s waits: %s", image.name, error)
                    has_waited = True
                    await self._wait()
        except Closed:
            return
        except Exception as error:  # also of a file that was moved away: the others go on
            _logger.warning("skipped: %s: %s", image.name, error)
            self._drop.give_again_if_changed(image)

    def _part_of(self, image: InputImage) -> Part:
        parts = self._station.parts
        if len(parts) == 1:
            return next(iter(parts.values()))
        name = image.name.partition("/")[0]
        if name not in parts:
            raise DataError(
                f"{image.path} is of no part; put it into a folder named {' or '.join(parts)} in "
                f"{self._folder}."
            )
        return parts[name]

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._interval):
                await self._stopped.wait()
        except TimeoutError:
            pass


def _chunks(images: list[InputImage]) -> list[list[InputImage]]:
    return [images[start : start + AT_ONCE] for start in range(0, len(images), AT_ONCE)]
