"""ONNX files that somebody changed, made with the ONNX package."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rdvar_jax.serving.onnx_names import IGNORE_METADATA, METADATA

TAMPERED: dict[str, tuple[Callable[[onnx.ModelProto], Any], str]] = {}
"""What changes a model or returns other bytes, and words of the refusal, by name."""


def tampered(content: bytes, name: str) -> bytes:
    """Returns the file as it is changed under this name."""
    model = onnx.load_from_string(content)
    changed = TAMPERED[name][0](model)
    return changed if isinstance(changed, bytes) else model.SerializeToString()


def _add(name: str, words: str) -> Callable:
    def keep(change: Callable) -> Callable:
        TAMPERED[name] = change, words
        return change

    return keep


def _raw(name: str, words: str, make: Callable[[bytes], bytes]) -> None:
    TAMPERED[name] = (lambda model: make(model.SerializeToString())), words


_INTACT = "is not an intact ONNX file of rdvar export"
_raw("empty", "has no entry rdvar", lambda content: b"")
_raw("a text", _INTACT, lambda content: b"no model at all, but a text of some length")
_raw("a zip", _INTACT, lambda content: b"PK\3\4" + content)
_raw("cut off", "its end is missing", lambda content: content[:-7])
_raw("more behind it", _INTACT, lambda content: content + b"\0")
_raw("a second graph", "graph of the model is there twice", lambda content: content + b"\x3a\0")
_raw("endless number", "not a protobuf message", lambda content: content + b"\x28" + b"\xff" * 11)
_raw("a group", "not a protobuf message", lambda content: content + b"\x2b\x2c")
_raw("many fields", "too many entries", lambda content: content + b"\x42\0" * 200_001)
_raw("unknown field", "field 99 of the model is unknown", lambda content: content + b"\x9a\x06\0")


@_add("external data", "it refers to data in other files")
def _external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    tensor.ClearField("raw_data")


@_add("a tensor in an attribute", "an operation holds a graph or a tensor")
def _constant(model: onnx.ModelProto) -> None:
    tensor = numpy_helper.from_array(np.ones(1, np.float32))
    model.graph.node.append(helper.make_node("Constant", [], ["x"], value=tensor))


@_add("a loop", "the operation Loop is not one of the export's")
def _loop(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["x"]))


@_add("a loop with its body", "an operation holds a graph or a tensor")
def _body(model: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["x"], body=body))


@_add("a custom operation", "operations of evil.ops are not those of ONNX")
def _custom(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "evil.ops"


@_add("a custom operator set", "operations of evil.ops are not those of ONNX")
def _custom_set(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("evil.ops", 1))


@_add("a function", "it defines operations of its own")
def _function(model: onnx.ModelProto) -> None:
    model.functions.append(helper.make_function("evil", "F", [], [], [], []))


@_add("a sparse constant", "field 15 of the graph is unknown")
def _sparse(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add()


@_add("another input", "its graph does not return maps and scores of its images")
def _input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 64


@_add("float images", "its graph does not return maps and scores of its images")
def _float(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


@_add("two inputs", "its graph does not return maps and scores of its images")
def _inputs(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))


@_add("without scores", "its graph does not return maps and scores of its images")
def _scores(model: onnx.ModelProto) -> None:
    del model.graph.output[1]


@_add("without graph", "a graph is missing in it")
def _graph(model: onnx.ModelProto) -> None:
    model.ClearField("graph")


@_add("an operation without its input", "cannot be run by")
def _dangling(model: onnx.ModelProto) -> None:
    model.graph.node[3].input[0] = "nowhere"


@_add("NaN weights", "are not finite; export the run again with rdvar export")
def _nan(model: onnx.ModelProto) -> None:
    for index, tensor in enumerate(model.graph.initializer):
        if tensor.name.endswith("conv1/kernel"):
            array = numpy_helper.to_array(tensor).copy()
            array[0, 0, 0, 0] = np.nan
            model.graph.initializer[index].CopyFrom(numpy_helper.from_array(array, tensor.name))
            return


def _with_manifest(change: Callable[[dict], Any]) -> Callable[[onnx.ModelProto], None]:
    def changed(model: onnx.ModelProto) -> None:
        (entry,) = (one for one in model.metadata_props if one.key == METADATA)
        manifest = json.loads(entry.value)
        found = change(manifest)
        entry.value = found if isinstance(found, str) else json.dumps(manifest)

    return changed


for _name, _change, _words in (
    ("manifest: deep", lambda m: "[" * 100_000, _INTACT),
    ("manifest: a list", lambda m: "[]", "is not an object"),
    ("manifest: no JSON", lambda m: "{", _INTACT),
    ("manifest: large", lambda m: '"' + "x" * 1_000_001 + '"', "of its metadata is too large"),
    ("threshold: a text", lambda m: m["threshold"].update(threshold="low"), "must be a finite num"),
    ("threshold: NaN", lambda m: m["threshold"].update(threshold=float("nan")), "must be a finite"),
    ("without image", lambda m: m.pop("image") and None, "image.height in its manifest must be"),
    ("height: 2**40", lambda m: m["image"].update(height=2**40), "must be a whole number from 1"),
    ("geometry: tile", lambda m: m["image"].update(geometry="tile"), "image.geometry in its man"),
    ("pooling: mean", lambda m: m.update(map={"pooling": "mean"}), "map.pooling in its manifest"),
    ("ignore hash: 3", lambda m: m.update(map={"ignore_sha256": 3}), "must be a text or null"),
    ("min_area: 1.5", lambda m: m.update(min_area=1.5), "min_area in its manifest must be"),
):
    TAMPERED[_name] = _with_manifest(_change), _words


@_add("without metadata", "its metadata has no entry rdvar")
def _foreign(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]


@_add("two manifests", "an entry of its metadata is there twice")
def _twice(model: onnx.ModelProto) -> None:
    model.metadata_props.append(model.metadata_props[0])


@_add("ignore: no base64", _INTACT)
def _no_base64(model: onnx.ModelProto) -> None:
    model.metadata_props.add(key=IGNORE_METADATA, value="?? no base64 ??")


@_add("ignore: no picture", "a picture in it cannot be read")
def _no_picture(model: onnx.ModelProto) -> None:
    model.metadata_props.add(key=IGNORE_METADATA, value="AAAA")
