"""A thread pool over many files, with a progress bar."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rdvar_jax.data.loading.progress import progress_bar
from rdvar_jax.data.pixels.file_errors import pillow_warnings
from rdvar_jax.errors import DataError

_Result = TypeVar("_Result")


def in_threads(
    work: Callable[[int], _Result],
    indices: Sequence[int],
    description: str,
    num_workers: int | None,
    progress: bool,
    failures: dict[int, DataError] | None = None,
) -> dict[int, _Result]:
    """Returns `work(index)` by index, in the order of `indices`.

    Raises the first failure in that order; with `failures`, collects each DataError there instead
    and leaves its index out of the result.
    """
    # Threads, because Pillow releases the GIL to decode and resize: on two cores two threads are
    # 1.75 times as fast as one, and more than one per core gain nothing.
    executor = ThreadPoolExecutor(num_workers if num_workers is not None else num_usable_cpus())
    results = {}
    try:
        # Entered once around all threads, so that the filters are not set for each file.
        with pillow_warnings(), progress_bar(len(indices), description, shown=progress) as done:
            futures = [executor.submit(work, index) for index in indices]
            for index, future in zip(indices, futures, strict=True):
                try:
                    results[index] = future.result()
                except DataError as error:
                    if failures is None:
                        raise
                    failures[index] = error
                done(1)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
    return results


def num_usable_cpus() -> int:
    """Returns the number of CPUs that this process may use."""
    # A container or batch system often grants fewer CPUs than the machine has; only Linux reports
    # it.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
