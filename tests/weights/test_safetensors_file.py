import json
import os
import random
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors

from rdvar_jax.errors import WeightsError
from rdvar_jax.weights.safetensors_file import read_safetensors, write_safetensors

METADATA = {"source": "resnet18-f37072fd.pth", "license": "BSD-3-Clause"}


def by_hand(path: Path, dtype: str, shape: list[int], raw: bytes) -> Path:
    """Writes one tensor, `a`, by the format's specification."""
    header = {"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, len(raw)]}}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + raw)
    return path


def refused(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        read_safetensors(path)
    message = str(caught.value)
    assert str(path) in message and ";" in message
    assert "\n" not in message and message.isprintable()
    return message


def test_there_and_back(tmp_path):
    base = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    tensors = {
        "whole": base,
        "turned": base.transpose(2, 0, 1),
        "slice": base[:, 1:, ::2],
        "scalar": np.array(2.5),
        "empty": np.zeros((0, 3), np.float16),
        "counter": np.array(7),
        "mask": np.array([True, False]),
        "big endian": np.array([1.5, -2.0], ">f4"),
    }
    path = tmp_path / "a.safetensors"
    write_safetensors(path, tensors, METADATA)
    got, metadata = read_safetensors(str(path))
    assert metadata == METADATA
    assert set(got) == set(tensors)
    for name, want in tensors.items():
        assert got[name].shape == want.shape
        assert got[name].dtype == want.dtype.newbyteorder("=")
        np.testing.assert_array_equal(got[name], want)


def test_the_same_content_gives_the_same_bytes(tmp_path):
    names = [f"key {number:02}" for number in range(30)]
    tensors = {name: np.ones(3, np.float32) for name in names}
    write_safetensors(tmp_path / "a", tensors, {name: "é" for name in names})
    backwards = {name: tensors[name] for name in names[::-1]}
    write_safetensors(tmp_path / "b", backwards, {name: "é" for name in names[::-1]})
    content = (tmp_path / "a").read_bytes()
    assert content == (tmp_path / "b").read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0
    assert list(json.loads(content[8 : 8 + length])["__metadata__"]) == names
    assert read_safetensors(tmp_path / "a")[1]["key 07"] == "é"


def test_without_metadata(tmp_path):
    path = by_hand(tmp_path / "a", "F32", [2], np.array([1, 2], np.float32).tobytes())
    tensors, metadata = read_safetensors(path)
    write_safetensors(tmp_path / "b", tensors, {})
    assert read_safetensors(tmp_path / "b")[1] == {}
    assert metadata == {} and tensors["a"].tolist() == [1, 2]


def test_bfloat16_becomes_float32_exactly(tmp_path):
    halves = np.array([0x3F80, 0xC060, 0x7F80, 0x0001], np.uint16)
    path = by_hand(tmp_path / "a", "BF16", [2, 2], halves.tobytes())
    got = read_safetensors(path)[0]["a"]
    assert got.dtype == np.float32 and got.shape == (2, 2)
    assert (got.reshape(-1).view(np.uint32) == halves.astype(np.uint32) << 16).all()


def test_types_that_numpy_lacks(tmp_path):
    message = refused(by_hand(tmp_path / "a", "F8_E4M3", [2], b"ab"))
    assert "F8_E4M3" in message and "convert it to float32" in message


def test_writing_replaces_in_one_step(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    write_safetensors(path, {"a": np.zeros(2, np.float32)}, {})
    before = path.read_bytes()

    def full_disk(source, target):
        # a rename is atomic only within one file system: the new file must be beside the old
        assert target == path and tmp_path in Path(source).parents
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full_disk)
        with pytest.raises(WeightsError, match="No space left on device"):
            write_safetensors(path, {"a": np.ones(2, np.float32)}, {})
    assert path.read_bytes() == before
    write_safetensors(path, {"a": np.ones(2, np.float32)}, {})
    assert read_safetensors(path)[0]["a"].tolist() == [1, 1]
    assert os.listdir(tmp_path) == ["a.safetensors"], "temporary files are left"


def test_writing_into_a_missing_folder(tmp_path):
    with pytest.raises(WeightsError, match="cannot be written"):
        write_safetensors(tmp_path / "no" / "a", {"a": np.zeros(2)}, {})


@pytest.mark.parametrize("content", [b"", b"text", b"\x05\0\0\0\0\0\0\0{...}", b"\xff" * 64])
def test_bad_content(tmp_path, content):
    path = tmp_path / "a"
    path.write_bytes(content)
    assert "not a complete safetensors file" in refused(path)


def test_bad_paths(tmp_path, monkeypatch):
    assert "does not exist" in refused(tmp_path / "no")
    assert "is not a file" in refused(tmp_path)
    path = by_hand(tmp_path / "a", "U8", [1], b"a")

    def no_permission(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", no_permission)
    assert "Permission denied" in refused(path)


def test_mutated_files_raise_nothing_else(tmp_path):
    rng = random.Random(20240614)
    path = tmp_path / "a"
    write_safetensors(path, {"a": np.ones((2, 3), np.float32), "b": np.ones(4)}, METADATA)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        refused(path)
    for _ in range(300):
        mutated = bytearray(content)
        for _ in range(rng.choice([1, 2, 8])):
            mutated[rng.randrange(len(mutated))] = rng.randrange(256)
        path.write_bytes(mutated)
        try:
            read_safetensors(path)
        except WeightsError:
            refused(path)


def test_the_library_reads_what_is_written(tmp_path):
    path = tmp_path / "a"
    write_safetensors(path, {"a": np.arange(6.0).reshape(2, 3).T}, METADATA)
    with safetensors.safe_open(path, framework="numpy") as file:
        assert file.metadata() == METADATA
        np.testing.assert_array_equal(file.get_tensor("a"), [[0, 3], [1, 4], [2, 5]])
