"""ONNX files in ONNX Runtime, on CPU."""

from typing import Any

import numpy as np
import onnxruntime

from rdvar_jax.serving.onnx_names import INPUT, MAP, SCORE
from rdvar_jax.serving.runtimes.own_process import OwnProcess
from rdvar_jax.serving.runtimes.runtime import ONNXRUNTIME

_ERRORS_ONLY = 3  # severity of its log, which goes to standard error


class OnnxRuntimeSession:
    """A session of ONNX Runtime; equal images of equal batches have equal results.

    Args:
        content: a serialised model.
        num_threads: that compute an image.
    """

    name = ONNXRUNTIME

    def __init__(self, content: bytes, num_threads: int):
        options = onnxruntime.SessionOptions()
        # By number, since with 0 threads are pinned to CPUs that a container may not grant.
        options.intra_op_num_threads = num_threads
        options.log_severity_level = _ERRORS_ONLY
        options.use_deterministic_compute = True
        self._session: Any = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
        self._process = OwnProcess()

    def score(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Computes maps and scores; see `Runtime`."""
        self._process.check()
        maps, scores = self._session.run([MAP, SCORE], {INPUT: pixels})
        return maps, scores
