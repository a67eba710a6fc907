"""ONNX files in OpenVINO, on CPU."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from rdvar_jax.serving.onnx_names import INPUT, MAP, SCORE
from rdvar_jax.serving.runtimes.own_process import OwnProcess
from rdvar_jax.serving.runtimes.runtime import OPENVINO

_TELEMETRY = "openvino_telemetry"


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Makes OpenVINO's import use the stub that it has for installations without that package.

    Else each import sends an event to Google Analytics from a forked process.
    """
    if _TELEMETRY in sys.modules:
        yield
        return
    sys.modules[_TELEMETRY] = None  # pyright: ignore[reportArgumentType]
    try:
        yield
    finally:
        del sys.modules[_TELEMETRY]


with _without_telemetry():
    import openvino


def settings(num_threads: int, precision: str = "f32") -> dict[str, str | int]:
    """Returns OpenVINO's properties.

    Args:
        num_threads: that compute an image.
        precision: of everything that is not int8; OpenVINO's own default is bfloat16 or float16
          on CPUs that have it, whose scores differ.
    """
    return {
        "INFERENCE_PRECISION_HINT": precision,
        "EXECUTION_MODE_HINT": "ACCURACY" if precision == "f32" else "PERFORMANCE",
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": num_threads,
    }


class OpenVinoModel:
    """A model compiled by OpenVINO for any number of images.

    Args:
        content: a serialised model.
        num_threads: that compute an image.
    """

    name = OPENVINO

    def __init__(self, content: bytes, num_threads: int):
        core = openvino.Core()
        # From memory: what was checked is what is run.
        model = core.read_model(content)
        compiled = core.compile_model(model, "CPU", settings(num_threads))
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()  # a request holds one batch
        self._process = OwnProcess()

    def score(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Computes maps and scores; see `Runtime`."""
        self._process.check()
        with self._lock:
            found = self._request.infer({INPUT: pixels})
            return np.array(found[MAP]), np.array(found[SCORE])
