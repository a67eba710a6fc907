"""Builder of an ONNX graph, one operation at a time."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Old enough for runtimes of recent years, with all operations used here.
OPSET = 17
IR_VERSION = 8


class GraphBuilder:
    """Collects operations and constants. Each method returns the name of its result.

    Values are [B, C, H, W], ONNX's layout, unless stated otherwise.
    """

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, name: str, array: np.ndarray) -> str:
        """Adds a constant."""
        self._constants.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def add(self, operation: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Adds an ONNX operation with one result, which has its name."""
        self._nodes.append(helper.make_node(operation, inputs, [name], name=name, **attributes))
        return name

    def add_first(
        self, operation: str, inputs: Sequence[str], name: str, *others: str, **attributes: Any
    ) -> str:
        """Adds an operation with several results, of which the first is used."""
        self._nodes.append(
            helper.make_node(operation, inputs, [name, *others], name=name, **attributes)
        )
        return name

    def conv(self, x: str, kernel: np.ndarray, bias: np.ndarray, name: str, stride: int = 1) -> str:
        """Adds a convolution with torch's symmetric padding; kernel [k, k, C in, C out]."""
        size = kernel.shape[0]
        inputs = [
            x,
            self.constant(f"{name}/kernel", kernel.transpose(3, 2, 0, 1)),
            self.constant(f"{name}/bias", bias),
        ]
        return self.add(
            "Conv",
            inputs,
            name,
            kernel_shape=[size, size],
            strides=[stride, stride],
            pads=[(size - 1) // 2] * 4,
        )

    def deconv(self, x: str, kernel: np.ndarray, bias: np.ndarray, name: str) -> str:
        """Adds a 2x2 deconvolution of stride 2: a 1x1 convolution to 4C and a depth-to-space.

        The kernel is [2, 2, C in, C out]: entry (a, b) makes the pixel (2h + a, 2w + b).
        """
        channels_in, channels_out = kernel.shape[2:]
        # [1, 1, C in, 4 C out], entry (a, b) of the window outermost, as mode DCR reads it.
        wide = kernel.transpose(2, 0, 1, 3).reshape(1, 1, channels_in, 4 * channels_out)
        y = self.conv(x, wide, np.tile(bias, 4), f"{name}/product")
        return self.add("DepthToSpace", [y], name, blocksize=2, mode="DCR")

    def relu(self, x: str) -> str:
        return self.add("Relu", [x], f"{x}/relu")

    def model(
        self,
        name: str,
        inputs: Mapping[str, tuple[type, Sequence[str | int]]],
        outputs: Mapping[str, Sequence[str | int]],
        properties: Mapping[str, str],
    ) -> bytes:
        """Returns the finished model, checked and serialised.

        Args:
            name: of the graph.
            inputs: dtype and shape by name; a string in a shape is an axis of any size.
            outputs: shape by name; all are float32.
            properties: metadata of the model.
        """
        graph = helper.make_graph(
            self._nodes,
            name,
            [
                helper.make_tensor_value_info(key, helper.np_dtype_to_tensor_dtype(np.dtype(t)), s)
                for key, (t, s) in inputs.items()
            ],
            [
                helper.make_tensor_value_info(key, TensorProto.FLOAT, shape)
                for key, shape in outputs.items()
            ],
            self._constants,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="rdvar_jax",
        )
        helper.set_model_props(model, dict(properties))
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString(deterministic=True)


def with_metadata(content: bytes, properties: Mapping[str, str]) -> bytes:
    """Returns a serialised model with this metadata alone."""
    model = onnx.load_from_string(content)
    del model.metadata_props[:]
    helper.set_model_props(model, dict(properties))
    return model.SerializeToString(deterministic=True)
