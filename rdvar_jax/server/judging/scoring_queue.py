"""Queue in front of the detectors: what arrives together is scored together, in one thread.

An image takes its place before it is decoded and leaves it once it is answered, so a full queue is
known before any work is done, and so is which images the thread does well to wait for: those that
are being decoded, and the next ones of clients that are being answered. Without that, clients that
send one image after the other would fall into two groups, one of which is scored while the other is
answered, and two small batches take longer than one. A client that is alone never waits.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

Scored = tuple[np.ndarray, np.float32]
"""Map [H, W] and score of one image, raw."""

Score = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""uint8 [N, H, W, 3] to maps [N, H, W] and scores [N]: `Detector.score`."""


class QueueFull(Exception):
    """So many images are waiting that one more would wait too long."""


class Closed(Exception):
    """The server ends and takes no more images."""


@dataclass
class _Line:
    """The images of one part: pixels that wait, and the future of each."""

    score: Score
    waiting: deque[tuple[np.ndarray, Future[Scored]]] = field(default_factory=deque)
    taken: int = 0  # places, from the arrival of an image to its answer
    answered: deque[float] = field(default_factory=deque)  # when, and no image came since
    seconds: float = 0.0  # that its last batch took


class Place:
    """Places of some images in the queue of their part."""

    def __init__(self, queue: "ScoringQueue", part: str, number: int):
        self._queue, self._part = queue, part
        self.left = number  # that no image was put on

    def put(self, pixels: np.ndarray) -> Future[Scored]:
        """Queues one image, uint8 [H, W, 3], at most once for each place."""
        if self.left < 1:
            raise ValueError("more images than places")
        self.left -= 1
        return self._queue._put(self._part, pixels)


class ScoringQueue:
    """Scores images of several parts in batches, in one thread.

    Batches have 1, 2, 4, ... images, since others would be padded to these, and at most
    `batch_size`. The part whose first image waits longest is next.

    Args:
        parts: what scores the images of each part.
        batch_size: images scored at once, at most.
        size: places of each part.
        wait: seconds that a batch waits for the next images of clients that were just answered, at
          most. For images that are being decoded or answered it waits half the time that the
          last batch took, if that is longer. 0 waits for none.
    """

    def __init__(self, parts: Mapping[str, Score], batch_size: int, size: int, wait: float):
        self._lines = {part: _Line(score) for part, score in parts.items()}
        self._batch_size, self._size, self._wait = batch_size, size, wait
        self._order = deque[str]()  # part of each waiting image, as they came
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="scoring", daemon=True)
        self._thread.start()

    @property
    def is_closed(self) -> bool:
        """Whether it takes no more images."""
        return self._closed

    @property
    def size(self) -> int:
        """Places of each part."""
        return self._size

    @contextmanager
    def places(self, part: str, number: int = 1) -> Iterator[Place]:
        """Takes places for images that are still to be decoded, all or none; frees them at the end.

        Raises:
            QueueFull: there are fewer.
            Closed: the server ends.
        """
        line = self._lines[part]
        with self._changed:
            if self._closed:
                raise Closed("the server is shutting down; send the image again once it is back")
            if line.taken + number > self._size:
                raise QueueFull(
                    f"{line.taken} of {self._size} places in the queue of {part} are taken; send "
                    "the image again in a moment, or start rdvar serve with a longer --queue"
                )
            line.taken += number
            for _ in range(min(number, len(line.answered))):
                line.answered.popleft()
        place = Place(self, part, number)
        try:
            yield place
        finally:
            with self._changed:
                line.taken -= number
                line.answered.extend([time.monotonic()] * (number - place.left))
                if self._is_whole(line):
                    self._changed.notify()

    def depth(self, part: str) -> int:
        """Returns the number of images from their arrival to their answer."""
        return self._lines[part].taken

    def close(self) -> None:
        """Scores what is waiting, and ends the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _put(self, part: str, pixels: np.ndarray) -> Future[Scored]:
        line, future = self._lines[part], Future[Scored]()
        future.set_running_or_notify_cancel()  # whoever waits may go away, but not cancel it
        with self._changed:
            line.waiting.append((pixels, future))
            self._order.append(part)
            if len(line.waiting) == 1 or self._is_whole(line):
                self._changed.notify()
        return future

    def _is_whole(self, line: _Line) -> bool:
        """Whether there is nothing in hand that a batch of this part would wait for."""
        return len(line.waiting) in (self._batch_size, line.taken)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._order and not self._closed:
                    self._changed.wait()
                if not self._order:
                    return
                line = self._lines[self._order[0]]
                self._wait_for(line)
                batch = self._take(self._order[0], line)
            start = time.monotonic()
            _score(line.score, batch)
            line.seconds = time.monotonic() - start

    def _wait_for(self, line: _Line) -> None:
        # Longer than this would cost more than a larger batch saves.
        end = time.monotonic() + max(self._wait, line.seconds / 2)
        while self._wait > 0 and len(line.waiting) < self._batch_size and not self._closed:
            now = time.monotonic()
            while line.answered and line.answered[0] <= now - self._wait:
                line.answered.popleft()
            if line.taken > len(line.waiting):  # some are being decoded or answered
                left = end - now
            elif line.answered:
                left = min(end, line.answered[-1] + self._wait) - now
            else:
                return
            if left <= 0:
                return
            self._changed.wait(left)

    def _take(self, part: str, line: _Line) -> list[tuple[np.ndarray, Future[Scored]]]:
        number = len(line.waiting)
        if number >= self._batch_size:
            number = self._batch_size
        else:
            number = 1 << (number.bit_length() - 1)
        for _ in range(number):
            self._order.remove(part)
        return [line.waiting.popleft() for _ in range(number)]


def _score(score: Score, batch: list[tuple[np.ndarray, Future[Scored]]]) -> None:
    try:
        maps, scores = score(np.stack([pixels for pixels, _ in batch]))
    # Everything: raised again where each image is waited for, and the thread goes on.
    except Exception as error:
        for _, future in batch:
            future.set_exception(error)
        return
    for (_, future), anomaly_map, one in zip(batch, maps, scores, strict=True):
        future.set_result((anomaly_map, one))
