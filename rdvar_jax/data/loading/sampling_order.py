"""Sampling order: shuffled epochs, concatenated and cut into full batches.

Every function is pure: the batch of step k follows from the seed and k alone, so a run resumes
exactly where it stopped, with no saved loader state.

Full batches only, because the variance loss compares the images of a batch: a last batch of one
image (MVTec's bottle has 209, at batch size 16) has no variance. So an epoch's tail joins the next
epoch's head, where RD4AD has a smaller last batch.
"""

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=8)  # sorting a million keys takes longer than many steps
def epoch_order(num_images: int, seed: int, epoch: int) -> np.ndarray:
    """Returns one epoch's order, a permutation of 0 ... num_images - 1, read-only int32.

    The same on every machine and with every version of numpy: PCG64's raw stream and SeedSequence
    are guaranteed by numpy never to change, and the order is that of a stable sort of the stream.
    (`Generator.permutation` has no such guarantee.)

    The epoch is a spawn key, not a second word of entropy: (seed 5, epoch 1) and
    (seed 2**32 + 5, epoch 0) would be the same words.

    Raises:
        ValueError: `seed` or `epoch` is negative.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(epoch,))
    sort_keys = np.random.PCG64(sequence).random_raw(num_images)
    order = np.argsort(sort_keys, kind="stable").astype(np.int32)
    order.setflags(write=False)
    return order


def batch_indices(num_images: int, batch_size: int, seed: int, step: int) -> np.ndarray:
    """Returns the image indices of one step's batch, int32 [batch_size]; steps count from 0.

    A batch may cross an epoch's end, or several where it is larger than the set; then it can hold
    an image more than once.

    Raises:
        ValueError: `seed` or `step` is negative.
    """
    start = step * batch_size
    first_epoch = start // num_images
    last_epoch = (start + batch_size - 1) // num_images
    orders = [epoch_order(num_images, seed, epoch) for epoch in range(first_epoch, last_epoch + 1)]
    offset = start - first_epoch * num_images
    return np.concatenate(orders)[offset : offset + batch_size]


def steps_at_epoch(num_images: int, batch_size: int, epoch: int) -> int:
    """Returns the number of full batches in `epoch` epochs; the remainder joins the next epoch."""
    return epoch * num_images // batch_size
