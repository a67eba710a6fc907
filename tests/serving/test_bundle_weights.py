"""Bundles with invalid weights under correct hashes."""

import json

import numpy as np
import pytest
import safetensors.numpy

from rdvar_jax import Detector
from rdvar_jax.errors import BundleError
from rdvar_jax.serving.archive import WEIGHTS, read_bundle, write_bundle


def header_for(content: bytes, **changes) -> bytes:
    """The file with other entries in the header of its first array."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    name = next(name for name in header if name != "__metadata__")
    header[name] = {**header[name], **changes}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def in_float16(content: bytes) -> bytes:
    arrays = safetensors.numpy.load(content)
    return safetensors.numpy.save({k: v.astype(np.float16) for k, v in arrays.items()})


CHANGES = {
    "empty": lambda content: b"",
    "cut off": lambda content: content[:-1],
    "longer": lambda content: content + b"\0",
    "header of 2^60 bytes": lambda content: (2**60).to_bytes(8, "little") + content[8:],
    "header that is not JSON": lambda content: content[:8] + b"x" + content[9:],
    "float16": in_float16,
    "another type": lambda content: header_for(content, dtype="I32"),
    "2^40 values": lambda content: header_for(content, shape=[2**40]),
    "negative shape": lambda content: header_for(content, shape=[-1]),
    "bounds before the file": lambda content: header_for(content, data_offsets=[-8, 0]),
    "bounds behind the file": lambda content: header_for(content, data_offsets=[0, 2**40]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_they_are_refused_in_one_sentence(bundle, tmp_path, change):
    manifest, members = read_bundle(bundle)
    about = {name: manifest[name] for name in ("image", "versions", "threshold")}
    path = tmp_path / "part.rdvar"
    write_bundle(path, about, members)
    Detector.load(path)  # the change alone is what is refused
    write_bundle(path, about, {**members, WEIGHTS: change(members[WEIGHTS])})
    with pytest.raises(BundleError) as caught:
        Detector.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
