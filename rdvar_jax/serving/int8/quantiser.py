"""QDQ models from a float32 model: some of its convolutions in int8, by onnxruntime's quantiser.

Weights are int8 by output channel, activations uint8 by tensor. Weights use 7 of their 8 bits: on
CPUs without VNNI the product instruction adds two products of uint8 and int8 in 16 bits, which
saturate with all 8. So a file computes the same everywhere, and what was checked here holds there.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantType
from onnxruntime.quantization.calibrate import create_calibrator
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from rdvar_jax.serving.onnx_names import INPUT

_CONV = "Conv"
_QUANTISED = (_CONV, "Relu")


class Quantiser:
    """A float32 model with the ranges of its values on calibration images.

    Args:
        content: the serialised model.
        images: uint8 [N, H, W, 3].

    Attributes:
        convolutions: names of the model's convolutions.
    """

    def __init__(self, content: bytes, images: np.ndarray):
        self._model = onnx.load_from_string(content)
        self._maker = {out: node for node in self._model.graph.node for out in node.output}
        self.convolutions = [n.name for n in self._model.graph.node if n.op_type == _CONV]
        self._ranges = _ranges(content, images)

    def model(self, convolutions: Iterable[str]) -> bytes:
        """Returns the model with these convolutions in int8, serialised."""
        names = set(convolutions)
        if not names:  # which the quantiser takes for all
            return self._model.SerializeToString(deterministic=True)
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        # A ReLU behind one is part of it: its zero is the lowest value of uint8.
        relus = [
            node.name
            for node in model.graph.node
            if node.op_type == "Relu" and self._maker[node.input[0]].name in names
        ]
        quantiser = QDQQuantizer(
            model,
            per_channel=True,
            reduce_range=True,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=self._ranges,
            nodes_to_quantize=[*sorted(names), *relus],
            nodes_to_exclude=[],
            op_types_to_quantize=list(_QUANTISED),
            extra_options={},
        )
        quantiser.quantize_model()
        made = quantiser.model.model
        _keep_floats(made)
        for tensor in made.graph.initializer:
            assert tensor.data_location == onnx.TensorProto.DEFAULT
            tensor.ClearField("data_location")  # a detector refuses files that have it
        return made.SerializeToString(deterministic=True)


def _ranges(content: bytes, images: np.ndarray):
    """Returns the lowest and highest value of each tensor that may be quantised."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        path.write_bytes(content)
        calibrator = create_calibrator(
            path, list(_QUANTISED), augmented_model_path=f"{folder}/augmented.onnx"
        )
        calibrator.collect_data(_OneByOne(images))
        return calibrator.compute_data()


class _OneByOne(CalibrationDataReader):
    def __init__(self, images: np.ndarray):
        self._left = iter(images)

    def get_next(self) -> Any:  # None behind the last
        image = next(self._left, None)
        return None if image is None else {INPUT: image[None]}


def _keep_floats(model: onnx.ModelProto) -> None:
    """Gives the float values to what computes in float, where the quantiser gave rounded ones.

    A sum of a residual block, for example, is rounded for the next convolution alone, not for the
    cosine. Behind an int8 convolution there is no float value.
    """
    maker = {out: node for node in model.graph.node for out in node.output}
    users: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            users.setdefault(name, []).append((node, index))
    for node in model.graph.node:
        value = node.input[0]
        if node.op_type != "QuantizeLinear" or maker[value].op_type == _CONV:
            continue
        for restored, _ in users[node.output[0]]:
            for user, index in users.get(restored.output[0], ()):
                if user.op_type != _CONV:
                    user.input[index] = value
