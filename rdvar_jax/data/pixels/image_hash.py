"""Hashes of decoded images: one for equal pixels, one for copies that were saved or resized again.

The second has a bit for each pair of neighbours in the image at 64 x 64: whether the right or lower
one is brighter. Photographs of parts in one place agree in most of these bits; how copies are told
from them is in `data/loading/copies.py`.
"""

import hashlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image

from rdvar_jax.data.loading.threads import in_threads

SIDE = 64
DETAIL_BYTES = 2 * SIDE * (SIDE - 1) // 8


class _Images(Protocol):
    """Images [N, H, W, 3], in memory or on disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> np.ndarray: ...


@dataclass(frozen=True)
class ImageHash:
    """Hashes of one image.

    Attributes:
        sha256: of height, width and RGB pixels, in hex.
        detail: `DETAIL_BYTES` bytes of brightness comparisons.
    """

    sha256: str
    detail: bytes


def hash_image(pixels: np.ndarray) -> ImageHash:
    """Hashes RGB pixels, uint8 [H, W, 3], at the size that the networks see."""
    # Of these pixels, not of the file: a renamed copy and one saved with another lossless
    # compression have the same.
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    grey = Image.fromarray(pixels).convert("L")
    small = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX))
    right, below = small[:, 1:] > small[:, :-1], small[1:] > small[:-1]
    bits = np.concatenate([right.ravel(), below.ravel()])
    return ImageHash(digest.hexdigest(), np.packbits(bits).tobytes())


def hash_images(images: _Images) -> tuple[ImageHash, ...]:
    """Hashes images [N, H, W, 3] in threads; see `hash_image`."""

    def work(index: int) -> ImageHash:
        return hash_image(images[index])

    found = in_threads(work, range(len(images)), "Hashing images", None, progress=False)
    return tuple(found.values())
