"""Work on many files at once, with a progress bar."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

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
    """work(index) by index, in the order of `indices`.

    The first failure in that order is raised, or, where `failures` is given, each DataError is put
    there and its index left out of the result.
    """
    # Not above: a detector decodes one image at a time, where tqdm need not be installed.
    from tqdm import tqdm

    # Threads, because Pillow decodes and resizes without the GIL: on two cores two threads are
    # 1.75 times as fast as one, and more than one a core gain nothing.
    executor = ThreadPoolExecutor(num_workers if num_workers is not None else num_usable_cpus())
    results = {}
    try:
        # One entry around all threads, so that the filters are set once and not for each file.
        # disable=None is tqdm's "only on a terminal".
        with (
            pillow_warnings(),
            tqdm(total=len(indices), desc=description, disable=None if progress else True) as bar,
        ):
            futures = [executor.submit(work, index) for index in indices]
            for index, future in zip(indices, futures, strict=True):
                try:
                    results[index] = future.result()
                except DataError as error:
                    if failures is None:
                        raise
                    failures[index] = error
                bar.update()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
    return results


def num_usable_cpus() -> int:
    """CPUs that this process may use."""
    # A container or a batch system often grants fewer CPUs than the machine has; only Linux tells.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
