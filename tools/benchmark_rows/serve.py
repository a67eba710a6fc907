"""The loop of a row's process: one timed call for each line that comes in."""

import json
import resource
import sys
import time
from collections.abc import Callable


def serve(call: Callable[[], object], started: float) -> None:
    """Warms `call` up, then times it once for each line on standard input.

    Args:
        call: does the work and waits until it is done.
        started: `time.perf_counter()` at the start of the process.
    """
    call()
    _say({"ready_seconds": time.perf_counter() - started})
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # Linux: kB
        _say(
            {
                "seconds": time.perf_counter() - wall,
                "cpu_seconds": time.process_time() - cpu,
                "peak_gb": peak,
            }
        )


def _say(values: dict[str, float]) -> None:
    print(json.dumps(values), flush=True)
