"""Random numbers that are the same with every version of numpy.

numpy guarantees the raw words of PCG64 and SeedSequence, but not the streams of Generator's methods
(`normal`, `choice`, ...), so the few that are needed are implemented here.
"""

import zlib

import numpy as np

_TWO_TO_53 = float(1 << 53)
_FOUR_WORDS_MEAN = 2 * 65535.0
_FOUR_WORDS_STD = np.sqrt(4 * (65536.0**2 - 1) / 12)


class Draws:
    """A stream of random numbers, identified by a seed and words.

    Args:
        seed: Non-negative.
        words: Names or non-negative numbers, used as spawn keys: two streams are the same only if
            the seed and all words are.

    Raises:
        ValueError: the seed or a number is negative.
    """

    def __init__(self, seed: int, *words: str | int):
        key = tuple(zlib.crc32(word.encode()) if isinstance(word, str) else word for word in words)
        self._bits = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Draws one number in [low, high)."""
        return low + (high - low) * (self._raw(1)[0] >> np.uint64(11)).item() / _TWO_TO_53

    def integer(self, count: int) -> int:
        """Draws one of 0 ... count - 1."""
        return int(self.uniform(0, count))

    def sign(self) -> float:
        """Draws -1 or 1."""
        return -1.0 if self.uniform() < 0.5 else 1.0

    def normals(self, *shape: int) -> np.ndarray:
        """Draws numbers with mean 0 and standard deviation 1, float32 of this shape.

        Sums of four 16-bit words: close enough to a normal distribution for tolerances and sensor
        noise (no value beyond 3.5), exact on every machine, and fast.
        """
        words = self._raw(int(np.prod(shape))).view(np.uint16).reshape(-1, 4)
        total = words.sum(axis=1, dtype=np.uint32)
        return ((total - _FOUR_WORDS_MEAN) / _FOUR_WORDS_STD).astype(np.float32).reshape(shape)

    def normal(self, spread: float = 1.0) -> float:
        """Draws one number with mean 0 and this standard deviation."""
        return spread * float(self.normals(1)[0])

    def _raw(self, count: int) -> np.ndarray:
        return np.asarray(self._bits.random_raw(count), np.uint64)
