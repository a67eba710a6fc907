"""Pictures kept from scoring to drawing, so that most files are decoded once."""

import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

MAX_BYTES = 1 << 27  # 128 MiB: 50 photographs of 900 x 900, or 3 of 12 megapixels


class KeptPicture(NamedTuple):
    """One decoded file."""

    size_wh: tuple[int, int]  # upright
    pixels: np.ndarray | None  # uint8 [H, W, 3] at its own size; None if there was no room for it


class KeptPictures:
    """Decoded files, each until it is taken; may be used by several threads.

    Args:
        max_bytes: of all pixels together. Without room only a file's size is kept.
    """

    def __init__(self, max_bytes: int = MAX_BYTES):
        self._lock, self._free = threading.Lock(), max_bytes
        self._kept: dict[Path, KeptPicture] = {}

    def put(self, path: Path, picture: Image.Image) -> None:
        """Keeps an upright RGB picture."""
        number = picture.width * picture.height * 3
        with self._lock:
            has_room = number <= self._free
            self._free -= number if has_room else 0
        pixels = np.array(picture) if has_room else None
        with self._lock:
            self._kept[path] = KeptPicture(picture.size, pixels)

    def take(self, path: Path) -> KeptPicture | None:
        """Returns a file's picture and forgets it; None if it was not put."""
        with self._lock:
            found = self._kept.pop(path, None)
            if found is not None and found.pixels is not None:
                self._free += found.pixels.nbytes
            return found
