"""A row's process: what it is told, and the loop that times one call for each line that comes in.

Only Python's own library: PyTorch's interpreters import this file too.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Settings:
    """Settings of a row's process: its only argument, as JSON.

    Attributes:
        row: which of the script's programs, with its options: "train+cache".
        arch: backbone.
        batch: images per call.
        image_size: S.
        stem_width: channels of the backbone's stem; 64 is torchvision's.
        data: a folder of images, or None for generated ones; some rows take a file instead.
        min_seconds: a call that is shorter is repeated until this time is over.
        precision: "float32" with all bits, "tf32" or "bfloat16".
        passes: of single layers, what is timed of each (`layer.PASSES`).
    """

    row: str
    arch: str
    batch: int
    image_size: int
    stem_width: int
    data: str | None
    min_seconds: float
    precision: str = "float32"
    passes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Call:
    """One timed call.

    Attributes:
        run: does the work and waits until it is done.
        images: how many images one run takes.
        kind: "train", "train+cache" or "score", where that is what it does: how much arithmetic
            an image takes is looked up by it.
        about: further facts for the report.
        cpu_clock: CPU seconds taken so far by all who do the work.
    """

    run: Callable[[], object]
    images: int
    kind: str | None = None
    about: dict[str, Any] | None = None
    cpu_clock: Callable[[], float] = time.process_time


def read_settings() -> Settings:
    """The settings from the command line."""
    return Settings(**json.loads(sys.argv[1]))


def serve(
    calls: dict[str, Call],
    started: float,
    settings: Settings,
    *,
    pairs: list[tuple[str, str]] | None = None,
    warm_up: bool = True,
    facts: Callable[[], dict[str, Any]] = dict,
) -> None:
    """Warms all calls up, then times one of them for each line, its name, on standard input.

    Args:
        calls: by name.
        started: `time.perf_counter()` at the start of the process.
        settings: this process's.
        pairs: names of calls whose ratio is of interest, the first over the second.
        warm_up: run each call once before. Without it, that is the caller's to do.
        facts: called after the warm-up, for further entries of the report.
    """
    if warm_up:
        for call in calls.values():
            call.run()
    ready = time.perf_counter() - started
    about = {
        name: {"images": call.images, "kind": call.kind, **(call.about or {})}
        for name, call in calls.items()
    }
    _say({"ready_seconds": ready, "calls": about, "pairs": pairs or [], "facts": facts()})
    for line in sys.stdin:
        call, repeats = calls[line.rstrip("\n")], 0
        wall, cpu = time.perf_counter(), call.cpu_clock()
        while repeats == 0 or time.perf_counter() - wall < settings.min_seconds:
            call.run()
            repeats += 1
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # Linux: kB
        _say(
            {
                "seconds": (time.perf_counter() - wall) / repeats,
                "cpu_seconds": (call.cpu_clock() - cpu) / repeats,
                "repeats": repeats,
                "peak_gb": peak,
            }
        )


def _say(values: dict[str, Any]) -> None:
    print(json.dumps(values), flush=True)
