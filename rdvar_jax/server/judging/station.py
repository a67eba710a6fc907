"""What the server does with images, whoever brings them: decode, score, decide, keep, answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np

from rdvar_jax.data.loading.threads import num_usable_cpus
from rdvar_jax.data.pixels.decode import FileFacts
from rdvar_jax.scoring.finite import refuse_not_finite
from rdvar_jax.server.judging.examined import Pictures, Sent, Upload, judged, sha256_of
from rdvar_jax.server.judging.ledger import Draft, Ledger, Listener, Log
from rdvar_jax.server.judging.part import Part
from rdvar_jax.server.judging.scoring_queue import ScoringQueue
from rdvar_jax.server.judging.verdict import Verdict

_Result = TypeVar("_Result")

BATCH_SIZE, QUEUE_SIZE, WAIT_MS = 8, 64, 2.0


@dataclass(frozen=True, eq=False)
class Answer:
    """One image's verdict.

    Attributes:
        verdict: kept, with its id.
        score: raw, float32.
        anomaly_map: float32 [H, W], raw.
        overlay: a PNG, where it was asked for.
    """

    verdict: Verdict
    score: np.float32
    anomaly_map: np.ndarray
    overlay: bytes | None


class Station:
    """Judges images with the threads that this takes; its methods are for one event loop.

    An image takes a place in the queue of its part, is decoded in a thread, waits for the detector,
    is judged in another thread, and is kept in the log before it is answered.

    Args:
        parts: by name.
        batch_size: images scored at once, at most.
        queue_size: images of a part from their arrival to their answer, at most.
        wait_ms: `wait` of `ScoringQueue`, in milliseconds.
        log: keeps the verdicts; closed by `close`.
        listeners: called with each verdict; see `Listener`.
    """

    def __init__(
        self,
        parts: Mapping[str, Part],
        *,
        batch_size: int = BATCH_SIZE,
        queue_size: int = QUEUE_SIZE,
        wait_ms: float = WAIT_MS,
        log: Log | None = None,
        listeners: Iterable[Listener] = (),
    ):
        self.parts = dict(parts)
        scores = {name: part.detector.score for name, part in parts.items()}
        self.queue = ScoringQueue(scores, batch_size, queue_size, wait_ms / 1000)
        self._ledger = Ledger(log, listeners)
        # Two pools, or the last step of one image would wait for the first of all others.
        self._decoding = ThreadPoolExecutor(num_usable_cpus(), "decoding")
        self._judging = ThreadPoolExecutor(num_usable_cpus(), "judging")

    @property
    def is_open(self) -> bool:
        """Whether it takes images."""
        return not self.queue.is_closed

    async def examine(
        self,
        part: Part,
        images: Sequence[Sent],
        *,
        overlay: bool = False,
        watched: str | None = None,
    ) -> list[Answer]:
        """Judges images of one part, all or none; each is kept in the log once it returns.

        Args:
            part: one of `parts`.
            images: as they were sent, at least one.
            overlay: draw each image under its heat.
            watched: path of the only image, if it is a file of the watched folder.

        Raises:
            QueueFull: there is no room for all of them at the moment.
            Closed: the server ends.
            DataError: one of them cannot be read, or its score is not finite.
            LogError: the verdicts cannot be kept.
        """
        arrived, start = _now(), time.perf_counter()
        in_thread = asyncio.get_running_loop().run_in_executor

        async def scored(sent: Sent, pixels: np.ndarray) -> tuple[np.ndarray, np.float32]:
            anomaly_map, score = await asyncio.wrap_future(place.put(pixels))
            refuse_not_finite([sent.name], np.array([score]))
            return anomaly_map, score

        with self.queue.places(part.name, len(images)) as place:
            decoded = await _all(in_thread(self._decoding, _decode, part, one) for one in images)
            for sent, (_, facts, _) in zip(images, decoded, strict=True):
                if isinstance(sent, Upload):
                    part.note(sent.name, facts)
            found = await _all(
                scored(sent, pixels) for sent, (pixels, _, _) in zip(images, decoded, strict=True)
            )

            def finish(index: int) -> tuple[Draft, bytes | None]:
                sent, (anomaly_map, score) = images[index], found[index]
                _, facts, sha256 = decoded[index]
                part.scale.note(anomaly_map)
                verdict = judged(
                    *(part, sent, sha256, facts.size_wh, anomaly_map, float(score), arrived),
                    seconds=time.perf_counter() - start,
                )
                pictures = Pictures(part, sent, anomaly_map)
                drawn = pictures.overlay(verdict) if overlay else None
                return Draft(verdict, pictures, watched), drawn

            async def finished_one(index: int) -> tuple[Draft, bytes | None]:
                # Most images are good and have no regions: nothing is left that takes time.
                if overlay or part.thresholds.may_have_regions(found[index][0]):
                    return await in_thread(self._judging, finish, index)
                return finish(index)

            finished = await _all(finished_one(index) for index in range(len(images)))
            kept = await asyncio.wrap_future(self._ledger.keep([draft for draft, _ in finished]))
        return [
            Answer(verdict, score, anomaly_map, drawn)
            for verdict, (_, drawn), (anomaly_map, score) in zip(kept, finished, found, strict=True)
        ]

    async def beside(self, work: Callable[[], _Result]) -> _Result:
        """Runs what takes long, such as the drawing of pictures, beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._judging, work)

    def close(self) -> None:
        """Finishes what was accepted, and ends all threads."""
        self.queue.close()
        self._decoding.shutdown()
        self._judging.shutdown()
        self._ledger.close()


def _decode(part: Part, sent: Sent) -> tuple[np.ndarray, FileFacts, str]:
    pixels, facts = sent.decode(part)
    return pixels, facts, sha256_of(sent)


async def _all(work: Iterable[Awaitable[_Result]]) -> list[_Result]:
    """Waits for all of it, and raises the first exception only then: nothing runs on unseen."""
    first, *others = work
    if not others:  # most requests: no task is made
        return [await first]
    results = await asyncio.gather(first, *others, return_exceptions=True)
    found = list[_Result]()
    for result in results:
        if isinstance(result, BaseException):
            raise result
        found.append(result)
    return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
