"""Interface of the runtimes."""

from typing import Protocol

import numpy as np

ONNXRUNTIME, OPENVINO = "onnxruntime", "openvino"
ONNX_RUNTIMES = (ONNXRUNTIME, OPENVINO)
"""Runtimes of ONNX files by the names of their packages and extras, the default first."""


class Runtime(Protocol):
    """A loaded network that scores pixels.

    Attributes:
        name: of the library that computes.
    """

    name: str

    def score(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Computes maps [N, H, W] and scores [N], float32, of uint8 [N, H, W, 3]."""
        ...
