"""The kit's ONNX model in ONNX Runtime or OpenVINO: rows "RUNTIME+one" and "RUNTIME+list".

`data` is the kit's file. As a user would write it: Pillow decodes and resizes one file after the
other, and the runtime scores them batch by batch. Needs Pillow, numpy and the runtime alone.
"""

# The clock starts before the large imports.
# ruff: noqa: E402

# OpenVINO is not among this project's dependencies.
# pyright: reportMissingImports=false

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()

import numpy as np
from PIL import Image
from serve import Call, Settings, read_settings, serve

BATCH_SIZE = 8
INPUT = "images"
NAMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


def main(settings: Settings) -> None:
    runtime, _, row = settings.row.partition("+")
    assert settings.data is not None
    kit = json.loads(Path(settings.data).read_text())
    score, version = {"onnxruntime": with_onnxruntime, "openvino": with_openvino}[runtime](
        kit["onnx"]
    )
    photographs = kit["photographs"][:1] if row == "one" else kit["photographs"]

    def run():
        for start in range(0, len(photographs), BATCH_SIZE):
            batch = photographs[start : start + BATCH_SIZE]
            score(np.stack([read(path, settings.image_size) for path in batch]))

    facts = {"versions": {runtime: version}}
    serve({NAMES[runtime]: Call(run, len(photographs))}, STARTED, settings, facts=lambda: facts)


def read(path: str, size: int) -> np.ndarray:
    """One file as RGB, uint8 [size, size, 3]."""
    with Image.open(path) as image:
        rgb = image.convert("RGB")
        return np.asarray(rgb.resize((size, size), Image.Resampling.BILINEAR))


def with_onnxruntime(model: str) -> tuple[Callable[[np.ndarray], Any], str]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {INPUT: images}), onnxruntime.__version__


def with_openvino(model: str) -> tuple[Callable[[np.ndarray], Any], str]:
    import openvino

    compiled = openvino.Core().compile_model(model, "CPU", {"PERFORMANCE_HINT": "LATENCY"})
    return lambda images: compiled({INPUT: images}), openvino.__version__


if __name__ == "__main__":
    main(read_settings())
