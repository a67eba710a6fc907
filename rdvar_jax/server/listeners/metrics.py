"""Numbers for Prometheus."""

from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from rdvar_jax.server.judging.examined import Pictures
from rdvar_jax.server.judging.part import Part
from rdvar_jax.server.judging.scoring_queue import ScoringQueue
from rdvar_jax.server.judging.verdict import Verdict
from rdvar_jax.server.listeners.recent import UNKNOWN

_SCORES = (*(0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7), 1, 1.5, 2, 3)
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 10)


class Metrics:
    """A listener that counts; the other numbers are read when they are asked for."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, parts: Iterable[Part]):
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._images = Counter(
            "rdvar_images", "Images by verdict.", ("part", "verdict"), registry=registry
        )
        self._scores = Histogram(
            "rdvar_score", "Raw scores.", ("part",), buckets=_SCORES, registry=registry
        )
        self._seconds = Histogram(
            "rdvar_verdict_seconds",
            "Time from the whole image until its verdict.",
            ("part",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._refusals = Counter(
            "rdvar_refused", "Requests that were refused.", ("status",), registry=registry
        )
        threshold = Gauge(
            "rdvar_threshold",
            "Score above which an image is defective.",
            ("part",),
            registry=registry,
        )
        self._parts = list(parts)
        for part in self._parts:
            if part.thresholds.image is not None:
                threshold.labels(part.name).set(part.thresholds.image)

    def watch(self, queue: ScoringQueue) -> None:
        """Reads the numbers of a queue whenever they are asked for."""
        depth = Gauge(
            "rdvar_queue", "Images that wait or are scored.", ("part",), registry=self._registry
        )
        for part in self._parts:
            name = part.name
            depth.labels(name).set_function(lambda name=name: queue.depth(name))
        size = Gauge("rdvar_queue_size", "Most images of a part.", registry=self._registry)
        size.set(queue.size)

    def __call__(self, verdict: Verdict, pictures: Pictures) -> None:
        """Counts a verdict."""
        self._images.labels(verdict.part, verdict.verdict or UNKNOWN).inc()
        self._scores.labels(verdict.part).observe(verdict.score)
        self._seconds.labels(verdict.part).observe(verdict.seconds)

    def refused(self, status: int) -> None:
        """Counts a refused request."""
        self._refusals.labels(str(status)).inc()

    def text(self) -> bytes:
        """Returns all numbers in Prometheus' text format."""
        return generate_latest(self._registry)
