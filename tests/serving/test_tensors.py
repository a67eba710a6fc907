"""Our reader of safetensors against the package."""

import json

import numpy as np
import pytest
import safetensors.numpy

from rdvar_jax.serving.tensors import parse_safetensors


def test_it_reads_what_the_package_writes():
    rng = np.random.default_rng(0)
    arrays = {
        "b/kernel": rng.standard_normal((3, 1, 2, 5), np.float32),
        "a/bias": rng.standard_normal(7, np.float32),
        "scalar": np.array(2.5, np.float32),
        "empty": np.zeros((0, 4), np.float32),
    }
    found = parse_safetensors(safetensors.numpy.save(arrays, {"note": "of the file"}))
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == np.float32
        assert found[name].shape == array.shape
        assert np.array_equal(found[name], array)


def file_of(**entry) -> bytes:
    header = json.dumps({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **entry}})
    return len(header).to_bytes(8, "little") + header.encode() + bytes(8)


def test_the_bad_files_differ_from_a_good_one():
    assert parse_safetensors(file_of())["x"].tolist() == [0, 0]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a header",
        file_of()[:-1],
        file_of(dtype="F16"),
        file_of(shape=[3]),
        file_of(shape=[-2]),
        file_of(data_offsets=[-8, 0]),
        file_of(data_offsets=[8, 16]),
        file_of(data_offsets=[0]),
        file_of(shape="2"),
        (2).to_bytes(8, "little") + b"[]",
        (4).to_bytes(8, "little") + b'{"a"',
        (8).to_bytes(8, "little") + b'{"a": 1}',
    ],
)
def test_anything_else_is_a_value_error(content):
    with pytest.raises(ValueError):
        parse_safetensors(content)
