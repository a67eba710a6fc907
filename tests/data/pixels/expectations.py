"""What decoded pixels and refusals are compared with."""

import numpy as np

from rdvar_jax.errors import DataError


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=2).astype(np.uint8)


def sixteen_to_eight(values: np.ndarray) -> np.ndarray:
    return np.rint(values / 257)


def check_sentence(error: DataError, *parts: str):
    message = str(error)
    for part in parts:
        assert part in message
    assert message.endswith(".") and "\n" not in message
    assert message.count(". ") == 0, "one sentence"
