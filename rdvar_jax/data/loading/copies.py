"""Finds images among those that a run was trained on, and copies of them.

A copy may be saved as JPEG, resized, or a little brighter or cropped by a hair. Photographs of
aligned parts look much alike, so a copy is one that agrees with a training image in what is not
common to the training images most like it: there different photographs differ like noise.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rdvar_jax.data.pixels.image_hash import DETAIL_BYTES, ImageHash

NEIGHBOURS = 10  # training images that show what is common
MANY = 30
LIMIT, LIMIT_OF_FEW = 0.42, 0.6
"""Least agreement of a copy, among `MANY` training images or more, and among fewer.

It is 1 for the same pixels and about 0 for another photograph, but more where the training images
are too few to show what is common. Chosen on real sets: docs/data.md has the measurements."""


class Copy(NamedTuple):
    """A training image that is found again."""

    name: str  # of the training image
    is_exact: bool  # the same pixels, else nearly so


class TrainedImages:
    """The images that a run was trained on.

    Args:
        names: of the images.
        hashes: of the images, in the same order.
    """

    def __init__(self, names: Sequence[str], hashes: Sequence[ImageHash]):
        self.names = tuple(names)
        self.hashes = tuple(hashes)
        self._exact: dict[str, str] = {}
        for name, one in zip(names, hashes, strict=True):
            self._exact.setdefault(one.sha256, name)
        # As 64-bit integers, whose bits are counted eight times as fast as those of bytes.
        details = np.frombuffer(b"".join(one.detail for one in hashes), np.uint64)
        self._details = details.reshape(-1, DETAIL_BYTES // 8)

    def find(self, image: ImageHash) -> Copy | None:
        """Returns the training image that this one is, or is a copy of; None if it is new.

        Only equal pixels are found where the details are not known, and among fewer than two
        training images, which do not show what is common.
        """
        if image.sha256 in self._exact:
            return Copy(self._exact[image.sha256], True)
        if len(self._details) < 2:
            return None
        index, agreement = self._nearest(image.detail)
        limit = LIMIT if len(self.names) >= MANY else LIMIT_OF_FEW
        return Copy(self.names[index], False) if agreement >= limit else None

    def _nearest(self, detail: bytes) -> tuple[int, float]:
        """Returns the training image that agrees most with `ImageHash.detail`, and how far."""
        different = self._details ^ np.frombuffer(detail, np.uint64)
        distances = np.bitwise_count(different).sum(axis=1, dtype=np.int32)
        nearest = np.argsort(distances, kind="stable")[:NEIGHBOURS]
        bits = np.unpackbits(self._details[nearest].view(np.uint8), axis=1).astype(np.float32)
        number = len(nearest)
        # What is common, without the candidate itself.
        common = (bits.sum(axis=0) - bits) / (number - 1)
        own, its = np.unpackbits(np.frombuffer(detail, np.uint8)) - common, bits - common
        products = np.sum(own * its, axis=1)
        norms = np.sqrt(np.sum(own**2, axis=1) * np.sum(its**2, axis=1))
        correlations = products / np.maximum(norms, 1e-6)
        # Both deviate from the same mean of the others, which alone correlates them by 1 / number.
        agreements = (correlations - 1 / number) / (1 - 1 / number)
        best = int(np.argmax(agreements))
        return int(nearest[best]), float(agreements[best])
