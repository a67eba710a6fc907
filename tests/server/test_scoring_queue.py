"""The queue: what is scored together, what waits for what, and what is refused."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future

import numpy as np
import pytest

from rdvar_jax.server.judging.scoring_queue import Closed, Place, QueueFull, ScoringQueue

TIMEOUT = 20


class Scorer:
    """Scores an image by its first value, and can be held."""

    def __init__(self):
        self.batches: list[list[int]] = []
        self.begun, self.go = threading.Semaphore(0), threading.Event()
        self.go.set()

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.batches.append(pixels[:, 0, 0, 0].tolist())
        self.begun.release()
        assert self.go.wait(TIMEOUT)
        return pixels[..., 0].astype(np.float32), pixels[:, 0, 0, 0].astype(np.float32)


def image(value: int) -> np.ndarray:
    return np.full((2, 2, 3), value, np.uint8)


def score_of(future: Future) -> float:
    return float(future.result(TIMEOUT)[1])


@pytest.fixture
def scorer() -> Scorer:
    return Scorer()


@pytest.fixture
def queue(scorer) -> Iterator[ScoringQueue]:
    queue = ScoringQueue({"a": scorer}, batch_size=8, size=16, wait=0.0)
    yield queue
    scorer.go.set()
    queue.close()


def test_what_comes_while_the_detector_is_busy_is_scored_together(queue, scorer):
    scorer.go.clear()
    with queue.places("a", 13) as place:
        futures = [place.put(image(0))]
        assert scorer.begun.acquire(timeout=TIMEOUT)
        futures += [place.put(image(value)) for value in range(1, 13)]
        scorer.go.set()
        assert [score_of(future) for future in futures] == list(range(13))
    assert scorer.batches == [[0], [*range(1, 9)], [9, 10, 11, 12]]


def test_batches_are_not_padded(queue, scorer):
    scorer.go.clear()
    with queue.places("a", 8) as place:
        futures = [place.put(image(0))]
        assert scorer.begun.acquire(timeout=TIMEOUT)
        futures += [place.put(image(value)) for value in range(1, 8)]
        scorer.go.set()
        for future in futures:
            score_of(future)
    assert [len(batch) for batch in scorer.batches] == [1, 4, 2, 1]


def test_every_image_gets_its_own_map(queue, scorer):
    with queue.places("a", 3) as place:
        for value, future in [(value, place.put(image(value))) for value in (5, 9, 7)]:
            anomaly_map, score = future.result(TIMEOUT)
            assert score == value and (anomaly_map == value).all()


def put_later(place: Place, seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, place.put, [image(2)])
    timer.start()
    return timer


def test_an_image_waits_for_one_that_is_known_to_come(scorer):
    queue = ScoringQueue({"a": scorer}, 8, 16, wait=TIMEOUT)
    with queue.places("a") as first, queue.places("a") as second:
        future = first.put(image(1))
        timer = put_later(second, 0.05)
        score_of(future)
        timer.join()
    queue.close()
    assert scorer.batches == [[1, 2]]


def test_it_waits_no_longer_than_that(scorer):
    queue = ScoringQueue({"a": scorer}, 8, 16, wait=0.05)
    with queue.places("a") as first, queue.places("a") as second:
        start = time.monotonic()
        score_of(first.put(image(1)))
        assert time.monotonic() - start >= 0.05
        score_of(second.put(image(2)))
    queue.close()
    assert scorer.batches == [[1], [2]]


def test_an_image_alone_does_not_wait(scorer):
    queue = ScoringQueue({"a": scorer}, 8, 16, wait=TIMEOUT)
    with queue.places("a") as place:
        start = time.monotonic()
        score_of(place.put(image(1)))
        assert time.monotonic() - start < TIMEOUT / 2
    queue.close()


def begin(queue: ScoringQueue, scorer: Scorer, value: int):
    """Puts an image whose scoring ends when `scorer.go` is set."""
    scorer.go.clear()
    place = queue.places("a")
    future = place.__enter__().put(image(value))
    assert scorer.begun.acquire(timeout=TIMEOUT)
    return place, future


def test_it_waits_for_the_next_image_of_a_client_that_gets_its_answer(scorer):
    queue = ScoringQueue({"a": scorer}, 8, 16, wait=TIMEOUT)
    answered, first = begin(queue, scorer, 1)
    with queue.places("a") as other:
        future = other.put(image(2))
        scorer.go.set()
        score_of(first)
        answered.__exit__(None, None, None)
        with queue.places("a") as again:
            timer = put_later(again, 0.05)
            score_of(future)
            timer.join()
    queue.close()
    assert scorer.batches == [[1], [2, 2]]


def test_it_waits_no_longer_for_a_client_that_goes_away(scorer):
    queue = ScoringQueue({"a": scorer}, 8, 16, wait=0.1)
    answered, first = begin(queue, scorer, 1)
    with queue.places("a") as other:
        future = other.put(image(2))
        start = time.monotonic()
        scorer.go.set()
        score_of(first)
        answered.__exit__(None, None, None)
        score_of(future)
        assert time.monotonic() - start >= 0.1
    queue.close()
    assert scorer.batches == [[1], [2]]


def test_for_images_in_hand_it_waits_half_the_time_of_a_batch(scorer):
    queue = ScoringQueue({"a": scorer}, 8, 16, wait=1e-6)
    answered, first = begin(queue, scorer, 1)
    with queue.places("a"), queue.places("a") as other:
        future = other.put(image(2))
        time.sleep(0.2)  # which the first batch takes
        start = time.monotonic()
        scorer.go.set()
        score_of(first)
        score_of(future)
        assert time.monotonic() - start >= 0.1
    answered.__exit__(None, None, None)
    queue.close()
    assert scorer.batches == [[1], [2]]


def test_nobody_waits_for_an_image_that_cannot_be_read(scorer):
    queue = ScoringQueue({"a": scorer}, 8, 16, wait=TIMEOUT)
    start = time.monotonic()
    with queue.places("a") as first:
        with queue.places("a"):
            future = first.put(image(1))
        score_of(future)
    assert time.monotonic() - start < TIMEOUT / 2
    queue.close()


def test_a_full_queue_refuses_all_or_none(queue):
    with queue.places("a", 15):
        with pytest.raises(QueueFull, match="15 of 16 places in the queue of a are taken"):
            with queue.places("a", 2):
                pass
        with queue.places("a", 1):
            assert queue.depth("a") == 16
    assert queue.depth("a") == 0


def test_parts_have_queues_of_their_own_and_turns(scorer):
    other = Scorer()
    queue = ScoringQueue({"a": scorer, "b": other}, 8, 4, 0.0)
    scorer.go.clear()
    with queue.places("a", 4) as a, queue.places("b", 4) as b:
        held = a.put(image(0))
        assert scorer.begun.acquire(timeout=TIMEOUT)
        futures = [b.put(image(1)), a.put(image(2)), b.put(image(3)), held]
        scorer.go.set()
        assert [score_of(future) for future in futures] == [1, 2, 3, 0]
    queue.close()
    assert (scorer.batches, other.batches) == ([[0], [2]], [[1, 3]])


def test_a_failure_reaches_all_of_its_batch_and_no_other():
    calls = iter([ValueError("broken"), None])

    def score(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if error := next(calls):
            raise error
        return pixels[..., 0], pixels[:, 0, 0, 0]

    queue = ScoringQueue({"a": score}, 8, 16, 0.0)
    with queue.places("a", 2) as place:
        with pytest.raises(ValueError, match="broken"):
            score_of(place.put(image(1)))
        assert score_of(place.put(image(2))) == 2
    queue.close()


def test_closing_scores_what_is_waiting_and_takes_no_more(scorer):
    queue = ScoringQueue({"a": scorer}, 8, 16, 0.0)
    scorer.go.clear()
    with queue.places("a", 2) as place:
        futures = [place.put(image(1)), place.put(image(2))]
        threading.Timer(0.05, scorer.go.set).start()
        queue.close()
        assert [score_of(future) for future in futures] == [1, 2]
    with pytest.raises(Closed), queue.places("a"):
        pass
