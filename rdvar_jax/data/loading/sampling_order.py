"""The order in which images come: shuffled epochs, one behind the other, cut into full batches.

Every function is pure: what step k sees follows from the seed and k alone, so a resumed run goes on
exactly where the first one stopped, with nothing to be saved.

Full batches only, because the variance loss compares the images of a batch: a last batch of one
image (MVTec's bottle has 209, 16 to a batch) would have none. So an epoch's tail joins the next
epoch's head, where RD4AD has a smaller last batch.
"""

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=8)  # sorting a million keys takes longer than many a step
def epoch_order(num_images: int, seed: int, epoch: int) -> np.ndarray:
    """The order of the images in one epoch, a permutation of 0 ... num_images - 1, read-only int32.

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
    """The images of one step's batch, int32 [batch_size]; steps count from 0.

    A batch may reach over the end of an epoch, or over several where it is larger than the set;
    then an image can occur in it more than once.

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
    """How many full batches `epoch` epochs give; what is left over comes with the next epoch."""
    return epoch * num_images // batch_size
