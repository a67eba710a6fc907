"""Bundles that somebody changed: content under right hashes, and the zip around it."""

import hashlib
import json
import math
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors.numpy
from jax import export

from rdvar_jax.serving.archive import MANIFEST, MANIFEST_HASH, PROGRAM, WEIGHTS

Content = dict[str, bytes]
TAMPERED: dict[str, Callable[[Content], Content | bytes]] = {}


def tampered(bundle: Path, folder: Path, name: str) -> Path:
    """Writes the bundle as it is changed under this name."""
    with zipfile.ZipFile(bundle) as archive:
        content = {member: archive.read(member) for member in archive.namelist()}
    made = TAMPERED[name](content)
    path = folder / "tampered.rdvar"
    path.write_bytes(made if isinstance(made, bytes) else packed(made))
    return path


def packed(content: Content) -> bytes:
    """Packs members without compression, as bundles are."""
    import io

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, member in content.items():
            archive.writestr(name, member)
    return file.getvalue()


def signed(content: Content, manifest: Any = None) -> Content:
    """Makes the hashes right again, of a manifest with the hashes of the members."""
    manifest = json.loads(content[MANIFEST]) if manifest is None else manifest
    if isinstance(manifest, dict) and isinstance(manifest.get("files"), dict):
        for name in (PROGRAM, WEIGHTS):
            digest = hashlib.sha256(content[name]).hexdigest()
            manifest["files"][name] = {"bytes": len(content[name]), "sha256": digest}
    return with_text(content, json.dumps(manifest).encode())


def with_text(content: Content, text: bytes) -> Content:
    digest = hashlib.sha256(text).hexdigest().encode()
    return {**content, MANIFEST: text, MANIFEST_HASH: digest}


# --- the manifest -------------------------------------------------------------------------------


def _entry(*path: str, value: Any) -> Callable[[Content], Content]:
    def change(content: Content) -> Content:
        manifest = json.loads(content[MANIFEST])
        inner = manifest
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        return signed(content, manifest)

    return change


def _without(*path: str) -> Callable[[Content], Content]:
    def change(content: Content) -> Content:
        manifest = json.loads(content[MANIFEST])
        inner = manifest
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]
        return signed(content, manifest)

    return change


for value in (math.nan, math.inf, -math.inf, "low", True, [], {}, 10**400):
    name = {math.inf: "inf", -math.inf: "-inf", "low": "a text", 10**400: "10**400"}
    shown = "NaN" if value != value else name.get(value, repr(value)) if value else repr(value)  # type: ignore[call-overload]
    key = "NaN threshold" if shown == "NaN" else f"threshold: {shown}"
    TAMPERED[key] = _entry("threshold", "threshold", value=value)
for value in (math.nan, "low", None, True, []):
    TAMPERED[f"pixel threshold: {value!r}"] = _entry("threshold", "pixel_threshold", value=value)
for value in (math.nan, "mean", 0, 2, None, True, []):
    TAMPERED[f"pooling: {value!r}"] = _entry("map", value={"pooling": value})
for value in (-1, 1.5, "x", None, True, []):
    TAMPERED[f"min_area: {value!r}"] = _entry("min_area", value=value)
for entry in ("versions", "image", "threshold", "files"):
    for value in (None, [], "x", 3):
        shown = "null" if value is None else repr(value)
        TAMPERED[f"{entry}: {shown}"] = _entry(entry, value=value)
for side in ("height", "width"):
    for value, shown in ((2**40, "2**40"), (0, "0"), (-32, "-32"), (32.0, "32.0"), ("32", "text")):
        TAMPERED[f"{side}: {shown}"] = _entry("image", side, value=value)
TAMPERED["geometry: tile"] = _entry("image", "geometry", value="tile")
TAMPERED["geometry: a list"] = _entry("image", "geometry", value=["squash"] * 1000)
TAMPERED["without image"] = _without("image")
TAMPERED["without threshold"] = _without("threshold")
TAMPERED["without versions"] = _without("versions")
TAMPERED["version of control characters"] = _entry("versions", "jax", value="\x1b[2J\n" * 100)
TAMPERED["manifest: deep"] = lambda content: with_text(content, b"[" * 400_000)
TAMPERED["manifest: large"] = lambda content: with_text(content, b" " * 2_000_000)
TAMPERED["manifest: not UTF-8"] = lambda content: with_text(content, b"\xff\xfe{")
TAMPERED["manifest: a long number"] = lambda content: with_text(content, b"9" * 100_000)


# --- weights ------------------------------------------------------------------------------------


def _weights(change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]):
    def changed(content: Content) -> Content:
        arrays = {k: np.array(v) for k, v in safetensors.numpy.load(content[WEIGHTS]).items()}
        return signed({**content, WEIGHTS: safetensors.numpy.save(change(arrays))})

    return changed


def _filled(value: float, name: str = "teacher/conv1/kernel"):
    def change(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        arrays[name][...] = value
        return arrays

    return change


TAMPERED["NaN weights"] = _weights(_filled(math.nan))
TAMPERED["infinite weights"] = _weights(_filled(math.inf))
TAMPERED["overflowing weights"] = _weights(
    lambda arrays: {k: np.full_like(v, 3e38) for k, v in arrays.items()}
)
TAMPERED["weights of zero"] = _weights(
    lambda arrays: {k: np.zeros_like(v) for k, v in arrays.items()}
)
TAMPERED["fewer weights"] = _weights(lambda arrays: dict(list(arrays.items())[1:]))
TAMPERED["no weights"] = _weights(lambda _: {})
TAMPERED["more weights"] = _weights(lambda arrays: {**arrays, "x": np.zeros(3, np.float32)})
TAMPERED["float64 weights"] = _weights(
    lambda arrays: {k: v.astype(np.float64) for k, v in arrays.items()}
)
TAMPERED["turned weights"] = _weights(lambda arrays: {k: v.T.copy() for k, v in arrays.items()})


def _raw_weights(raw: bytes):
    return lambda content: signed({**content, WEIGHTS: raw})


def _header(tensor: Any, data: bytes = b"") -> bytes:
    text = json.dumps({"a": tensor}).encode()
    return struct.pack("<Q", len(text)) + text + data


TAMPERED["weights: huge header"] = _raw_weights(struct.pack("<Q", 2**62) + b"{}")
TAMPERED["weights: long header"] = _raw_weights(struct.pack("<Q", 10**9) + b"{" * 100)
TAMPERED["weights: deep header"] = _raw_weights(struct.pack("<Q", 90_000) + b"[" * 90_000)
TAMPERED["weights: huge shape"] = _raw_weights(
    _header({"dtype": "F32", "shape": [2**31, 2**31, 2**31], "data_offsets": [0, 4]}, b"abcd")
)
TAMPERED["weights: huge offsets"] = _raw_weights(
    _header({"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]})
)
TAMPERED["weights: empty axes"] = _raw_weights(
    _header({"dtype": "F32", "shape": [0, 2**60], "data_offsets": [0, 0]})
)
TAMPERED["weights: another type"] = _raw_weights(
    _header({"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}, b"a")
)


# --- the program --------------------------------------------------------------------------------


def _program(make: Callable[[dict, Any], Any], side: int = 32):
    def change(content: Content) -> Content:
        arrays = safetensors.numpy.load(content[WEIGHTS])
        shapes = {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in arrays.items()}
        (batch,) = export.symbolic_shape("b")
        images = jax.ShapeDtypeStruct((batch, side, side, 3), np.uint8)
        made = export.export(jax.jit(make), platforms=("cpu", "cuda"))(shapes, images)
        return signed({**content, PROGRAM: bytes(made.serialize())})

    return change


def _maps(images):
    return images[..., 0].astype(np.float32)


TAMPERED["program of 64 px"] = _program(lambda w, x: (_maps(x), _maps(x).max((1, 2))), 64)
TAMPERED["program without scores"] = _program(lambda w, x: _maps(x))
TAMPERED["program of small maps"] = _program(lambda w, x: (_maps(x)[:, :4], _maps(x).max((1, 2))))
TAMPERED["program of one score"] = _program(lambda w, x: (_maps(x), _maps(x).max()))
TAMPERED["program of whole numbers"] = _program(lambda w, x: (x[..., 0], x.max((1, 2, 3))))
TAMPERED["program of NaN"] = _program(
    lambda w, x: (_maps(x), _maps(x).max((1, 2)) * np.float32(math.nan))
)
TAMPERED["program cut short"] = lambda content: signed({**content, PROGRAM: content[PROGRAM][:99]})
TAMPERED["empty program"] = lambda content: signed({**content, PROGRAM: b""})
TAMPERED["program of zeros"] = lambda content: signed({**content, PROGRAM: bytes(10**6)})


# --- the zip ------------------------------------------------------------------------------------


def _huge_member(content: Content) -> bytes:
    """Declares 4 GB for a member, in both headers, which nobody has to write."""
    raw = bytearray(packed(content))
    place = raw.rindex(WEIGHTS.encode()) - 46  # its entry in the directory
    raw[place + 20 : place + 28] = struct.pack("<LL", 0xFFFFFFF0, 0xFFFFFFF0)
    return bytes(raw)


def _large_directory(content: Content) -> bytes:
    return packed({**content, **{f"{number:06}": b"" for number in range(50_000)}})


TAMPERED["zip: huge member"] = _huge_member
TAMPERED["zip: large directory"] = _large_directory
TAMPERED["zip: with a comment"] = lambda content: packed(content)[:-2] + b"\x05\x00hello"
TAMPERED["zip: something before it"] = lambda content: b"\x7fELF" * 9 + packed(content)
TAMPERED["zip: something after it"] = lambda content: packed(content) + b"x" * 99
TAMPERED["zip: a long name"] = lambda content: packed({**content, "n" * 3000: b""})
