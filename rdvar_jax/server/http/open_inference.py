"""Requests and answers of the Open Inference Protocol (KServe's v2), as JSON or raw tensors."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from rdvar_jax.report.prediction_files import DEFECTIVE
from rdvar_jax.server.http.refusal import Refusal
from rdvar_jax.server.judging.part import Part
from rdvar_jax.server.judging.station import Answer

LENGTH_HEADER = "Inference-Header-Content-Length"
INPUT, MAPS, SCORES, VERDICTS = "images", "maps", "scores", "verdicts"


@dataclass(frozen=True, eq=False)
class InferRequest:
    """What is asked for.

    Attributes:
        id: of the client, or None.
        images: uint8 [B, H, W, 3].
        outputs: names of the wanted tensors, and whether each is wanted raw.
    """

    id: str | None
    images: np.ndarray
    outputs: dict[str, bool]


def describe(part: Part) -> dict[str, Any]:
    """Returns the metadata of a model."""
    height, width = part.size
    outputs = [
        {"name": MAPS, "datatype": "FP32", "shape": [-1, height, width]},
        {"name": SCORES, "datatype": "FP32", "shape": [-1]},
    ]
    if part.thresholds.image is not None:
        outputs.append({"name": VERDICTS, "datatype": "BOOL", "shape": [-1]})
    return {
        "name": part.name,
        "versions": ["1"],
        "platform": "rdvar_bundle",
        "inputs": [{"name": INPUT, "datatype": "UINT8", "shape": [-1, height, width, 3]}],
        "outputs": outputs,
    }


def read_request(body: bytes, header_length: str | None, part: Part, most: int) -> InferRequest:
    """Reads a request.

    Args:
        body: JSON, or JSON and then the raw input.
        header_length: value of `LENGTH_HEADER`: bytes of JSON; None if all is.
        part: the model.
        most: images of one request.

    Raises:
        Refusal: it is not such a request, or not for this model.
    """
    header, raw = body, b""
    if header_length is not None:
        if not header_length.isdecimal() or int(header_length) > len(body):
            _refuse(f"the header {LENGTH_HEADER} is not a number of bytes of the body")
        header, raw = body[: int(header_length)], body[int(header_length) :]
    request = _read_json(header)
    id = request.get("id")
    if id is not None and not isinstance(id, str):
        _refuse("id is not a string")
    inputs = _objects(request, "inputs")
    if len(inputs) != 1 or inputs[0].get("name") != INPUT:
        _refuse(f"inputs must be one tensor, named {INPUT!r}")
    images = _read_images(inputs[0], raw, part, most)
    return InferRequest(id, images, _read_outputs(request, part))


def write_answer(
    request: InferRequest, part: Part, answers: Sequence[Answer]
) -> tuple[bytes, dict[str, str]]:
    """Returns body and headers of the answer."""
    tensors: dict[str, np.ndarray] = {
        MAPS: np.stack([one.anomaly_map for one in answers]),
        SCORES: np.array([one.score for one in answers], np.float32),
        VERDICTS: np.array([one.verdict.verdict == DEFECTIVE for one in answers]),
    }
    outputs, raw = [], []
    for name, is_raw in request.outputs.items():
        array = tensors[name]
        output: dict[str, Any] = {
            "name": name,
            "datatype": "BOOL" if name == VERDICTS else "FP32",
            "shape": list(array.shape),
        }
        if is_raw:
            raw.append(array.tobytes())
            output["parameters"] = {"binary_data_size": len(raw[-1])}
        else:
            output["data"] = array.ravel().tolist()
        outputs.append(output)
    answer: dict[str, Any] = {"model_name": part.name, "model_version": "1"}
    if request.id is not None:
        answer["id"] = request.id
    header = json.dumps({**answer, "outputs": outputs}, allow_nan=False).encode()
    if not raw:
        return header, {"Content-Type": "application/json"}
    return b"".join([header, *raw]), {
        "Content-Type": "application/octet-stream",
        LENGTH_HEADER: str(len(header)),
    }


def _read_json(text: bytes) -> dict[str, Any]:
    def refuse_constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is not a number of JSON")

    try:
        request = json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        _refuse(f"the body is not JSON ({str(error)[:100]})")
    if not isinstance(request, dict):
        _refuse("the body is not a JSON object")
    return request


def _objects(request: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = request.get(name)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        _refuse(f"{name} is not a list of objects")
    return found


def _parameters(owner: dict[str, Any]) -> dict[str, Any]:
    found = owner.get("parameters", {})
    if not isinstance(found, dict):
        _refuse("parameters is not an object")
    return found


def _read_images(tensor: dict[str, Any], raw: bytes, part: Part, most: int) -> np.ndarray:
    height, width = part.size
    if tensor.get("datatype") != "UINT8":
        _refuse(f"the datatype of {INPUT} must be UINT8")
    shape = tensor.get("shape")
    if (
        not isinstance(shape, list)
        or not all(type(size) is int for size in shape)
        or shape[1:] != [height, width, 3]
        or shape[0] < 1
    ):
        _refuse(f"the shape of {INPUT} must be [B, {height}, {width}, 3] with B at least 1")
    if shape[0] > most:
        _refuse(f"one request may have {most} images, and this one has {shape[0]}; send fewer")
    count = math.prod(shape)
    size = _parameters(tensor).get("binary_data_size")
    if size is None:
        return _from_json(tensor.get("data"), count).reshape(shape)
    if type(size) is not int or size != count or len(raw) != count:
        _refuse(f"binary_data_size and the bytes after the JSON must be {count}")
    return np.frombuffer(raw, np.uint8).reshape(shape)


def _from_json(data: Any, count: int) -> np.ndarray:
    """Reads numbers, flat or nested, in row-major order."""
    try:
        values = np.array(data)
    except (ValueError, TypeError, OverflowError):  # rows of different lengths
        values = np.array(None)
    if values.dtype.kind not in "iu" or values.size != count:
        _refuse(f"the data of {INPUT} must be {count} integers, flat or nested like the shape")
    if values.min() < 0 or values.max() > 255:
        _refuse(f"the data of {INPUT} must be from 0 to 255")
    return values.astype(np.uint8).ravel()


def _read_outputs(request: dict[str, Any], part: Part) -> dict[str, bool]:
    """Returns the wanted outputs, by default all; whether each is wanted raw."""
    names = [output["name"] for output in describe(part)["outputs"]]
    all_raw = _parameters(request).get("binary_data_output", False) is True
    if "outputs" not in request:
        return dict.fromkeys(names, all_raw)
    wanted = {}
    for output in _objects(request, "outputs"):
        name = output.get("name")
        if name not in names:
            _refuse(f"the model has no output {str(name)[:100]!r}; it has {', '.join(names)}")
        wanted[name] = _parameters(output).get("binary_data", all_raw) is True
    return wanted


def _refuse(reason: str) -> NoReturn:
    raise Refusal(400, f"The request cannot be used, because {reason}.")
