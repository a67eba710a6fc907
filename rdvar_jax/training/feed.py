"""Batches of a training set that stays on disk, sharded over the devices."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jax

from rdvar_jax.data.loading.grain_reader import Batches, decoded_ahead
from rdvar_jax.data.loading.on_disk import ImagesOnDisk, TilesOnDisk
from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.training.loop import Schedule


@contextmanager
def streamed_feed(
    images: ImagesOnDisk | TilesOnDisk,
    schedule: Schedule,
    first_step: int,
    parallel: Parallel,
    *,
    memory_budget: float,
    num_workers: int,
) -> Iterator[Callable[[int], jax.Array]]:
    """Yields the `feed` of `run_epochs`; each process decodes only its own rows of a batch.

    Args:
        images: the training set.
        schedule: determines the images of each step.
        first_step: the first step requested; the others follow in order.
        parallel: puts the images on the devices.
        memory_budget: see `decoded_ahead`.
        num_workers: see `decoded_ahead`.

    Raises:
        UserError: see `decoded_ahead`.
    """
    rows = parallel.own_rows(schedule.batch_size)
    batches = Batches(
        images, schedule.batch_size, rows, schedule.seed, first_step, schedule.num_steps
    )
    next_step = first_step
    with decoded_ahead(batches, memory_budget=memory_budget, num_workers=num_workers) as decoded:

        def feed(step: int) -> jax.Array:
            nonlocal next_step
            assert step == next_step, f"step {step} requested instead of {next_step}"
            next_step += 1
            return parallel.shard_own(next(decoded))

        yield feed
