"""ONNX files of `rdvar export`, read and checked before a runtime sees them.

A runtime follows what a file says: it may open other files, load operations or loop without end. So
only what the export writes is taken: its operations, its input and outputs, and no other file.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rdvar_jax.errors import BundleError
from rdvar_jax.serving.archive import MAX_MANIFEST_BYTES, check_sha256, reading
from rdvar_jax.serving.manifest import BadContent, read_geometry
from rdvar_jax.serving.onnx_names import IGNORE_METADATA, INPUT, LOWEST, MAP, METADATA, SCORE
from rdvar_jax.serving.onnx_schema import FLOAT, MODEL, OPERATIONS, UINT8
from rdvar_jax.serving.protobuf import MessageError, read_message
from rdvar_jax.weights.printable import printable

SUFFIX = ".onnx"


@dataclass(frozen=True)
class OnnxFile:
    """A checked file.

    Attributes:
        content: the whole of it.
        manifest: that of its run.
        ignore: PNG of the pixels that never count; None if all do, and in files of versions that
          kept it in the graph alone.
    """

    content: bytes
    manifest: dict[str, Any]
    ignore: bytes | None


def read_onnx_file(path: Path, sha256: str | None = None) -> OnnxFile:
    """Reads and checks an ONNX file.

    Args:
        path: the file.
        sha256: expected hash of the file, in hexadecimal; None for no such check.

    Raises:
        BundleError: the file cannot be read, or is not what `rdvar export --format onnx` writes.
        BadContent: the manifest has wrong entries, or the weights are not finite.
    """
    with reading(path, _damaged, (BadContent,)):
        content = path.read_bytes()
        if sha256 is not None:
            check_sha256(path, hashlib.sha256(content).hexdigest(), sha256)
        model = read_message(content, MODEL)
        properties = _properties(model)
        manifest = _manifest(properties)
        ignore = properties.get(IGNORE_METADATA)
        picture = None if ignore is None else base64.b64decode(ignore, validate=True)
        geometry = read_geometry(manifest)
        _check_graph(model, (geometry.height, geometry.width))
    return OnnxFile(content, manifest, picture)


def _properties(model: dict[str, Any]) -> dict[str, bytes]:
    entries = model["metadata_props"]
    found = {bytes(_only(entry["key"])): bytes(_only(entry["value"])) for entry in entries}
    if len(found) < len(entries):
        raise MessageError("an entry of its metadata is there twice")
    return {key.decode(errors="replace"): value for key, value in found.items()}


def _manifest(properties: dict[str, bytes]) -> dict[str, Any]:
    text = properties.get(METADATA)
    if text is None:
        raise MessageError(f"its metadata has no entry {METADATA}")
    if len(text) > MAX_MANIFEST_BYTES:
        raise MessageError(f"the entry {METADATA} of its metadata is too large")
    manifest = json.loads(text)
    if not isinstance(manifest, dict):
        raise MessageError(f"the entry {METADATA} of its metadata is not an object")
    return manifest


def _check_graph(model: dict[str, Any], size: tuple[int, int]) -> None:
    for opset in model["opset_import"]:
        _check_domain(opset["domain"])
    graph = _only(model["graph"], "a graph")
    for node in graph["node"]:
        _check_domain(node["domain"])
        operation = _text(node["op_type"])
        if operation not in OPERATIONS:
            raise MessageError(f"the operation {printable(operation)} is not one of the export's")
    found = [_described(value) for value in (*graph["input"], *graph["output"])]
    expected = [
        (INPUT, UINT8, (None, *size, 3)),
        (MAP, FLOAT, (None, *size)),
        (SCORE, FLOAT, (None,)),
    ]
    if found != expected:
        raise MessageError("its graph does not return maps and scores of its images")
    for tensor in graph["initializer"]:
        _check_finite(tensor)


def _check_domain(domains: list[memoryview]) -> None:
    if _text(domains) not in ("", "ai.onnx"):
        raise MessageError(f"operations of {printable(_text(domains))} are not those of ONNX")


def _described(value: dict[str, Any]) -> tuple[str, int, tuple[int | None, ...]]:
    """Returns name, element type and shape of a value; None is an axis of any size."""
    kind = _only(_only(value["type"], "a type")["tensor_type"], "a type")
    shape = _only(kind["shape"], "a shape")
    sides = tuple(dim["dim_value"][0] if dim["dim_value"] else None for dim in shape["dim"])
    return _text(value["name"]), _only(kind["elem_type"], "a type"), sides


def _check_finite(tensor: dict[str, Any]) -> None:
    name = _text(tensor["name"])
    if tensor["data_type"] != [FLOAT] or name == LOWEST:
        return
    for values in (*tensor["raw_data"], *tensor["float_data"]):
        if not np.isfinite(np.frombuffer(values, "<f4")).all():
            raise BadContent(f"its weights {printable(name)} are not finite")


def _only(values: list[Any], what: str = "an entry") -> Any:
    if len(values) != 1:
        raise MessageError(f"{what} is missing in it")
    return values[0]


def _text(values: list[memoryview]) -> str:
    return bytes(values[0]).decode(errors="replace") if values else ""


def _damaged(path: Path, reason: str) -> BundleError:
    return BundleError(
        f"{path} is not an intact ONNX file of rdvar export ({reason}); copy it again, or export "
        "the run again with rdvar export --format onnx."
    )
