"""Batches of a training set that stays on disk, prefetched by Grain.

They follow `data/loading/sampling_order.py`, whatever thread or process decodes them: the batch of
step k follows from the seed and k, so the number of the next step is the only state.
"""

import math
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import parent_process

import numpy as np
from absl import flags

from rdvar_jax.data.loading.on_disk import ImagesOnDisk, TilesOnDisk
from rdvar_jax.data.loading.sampling_order import batch_indices
from rdvar_jax.data.loading.threads import num_usable_cpus
from rdvar_jax.errors import ConfigError

MAX_THREADS = 16


@dataclass(frozen=True)
class Batches:
    """Batches as a random-access sequence of arrays, for Grain.

    Attributes:
        images: the training set.
        batch_size: of the global batch.
        rows: rows of each batch that this process takes; other processes take the others.
        seed: of the sampling order.
        first_step: the step of element 0.
        num_steps: the step after the last one.
    """

    images: ImagesOnDisk | TilesOnDisk
    batch_size: int
    rows: slice
    seed: int
    first_step: int
    num_steps: int

    @property
    def bytes_each(self) -> int:
        return (self.rows.stop - self.rows.start) * math.prod(self.images.shape[1:])

    def __len__(self) -> int:
        return self.num_steps - self.first_step

    def __getitem__(self, index: int) -> np.ndarray:
        """The rows of step `first_step + index`, uint8 [b, H, W, 3]."""
        step = self.first_step + index
        indices = batch_indices(len(self.images), self.batch_size, self.seed, step)
        return self.images.take(indices[self.rows])


@contextmanager
def decoded_ahead(
    batches: Batches, *, memory_budget: float, num_workers: int = 0
) -> Iterator[Iterator[np.ndarray]]:
    """Iterates over `batches` in order while the next ones are decoded.

    Args:
        batches: a sequence of arrays.
        memory_budget: bytes that prefetched batches may take; two are always prefetched.
        num_workers: worker processes; 0 decodes in threads, one per usable CPU.

    Raises:
        ConfigError: Grain is not installed.
        DataError: an image cannot be read; raised when its batch is due.
    """
    try:
        import grain
    except ImportError as error:
        raise ConfigError(
            "The training images are over data.memory_budget_gb and would be read by Grain, which "
            "is not installed; install rdvar-jax[stream], or raise the budget."
        ) from error
    ahead = max(2, int(memory_budget // batches.bytes_each))
    if num_workers:
        read_options = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
    else:
        threads = min(num_usable_cpus(), MAX_THREADS, ahead)
        read_options = grain.ReadOptions(threads, prefetch_buffer_size=min(threads + 1, ahead))
    dataset = grain.MapDataset.source(batches).to_iter_dataset(read_options)
    if num_workers:
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()  # Grain reads its own absl flags, even for defaults
        each = max(1, min(2, ahead // num_workers))
        options = grain.MultiprocessingOptions(num_workers, per_worker_buffer_size=each)
        dataset = dataset.mp_prefetch(options, worker_init_fn=_start_worker)
    iterator = iter(dataset)
    try:
        yield iterator
    finally:
        iterator.close()


def _start_worker(index: int, count: int) -> None:
    # Ctrl-C reaches every process of a terminal, but only the parent decides what it stops.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Grain's workers would outlive a killed parent.
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
