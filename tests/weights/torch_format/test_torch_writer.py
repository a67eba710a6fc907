"""Files of the torch writer; tests/parity/test_live_torch.py reads them with torch."""

import pickletools
import zipfile

import numpy as np
import pytest

from rdvar_jax.errors import WeightsError
from rdvar_jax.weights.torch_format.reader import read_torch_object
from rdvar_jax.weights.torch_format.writer import write_torch_file

CONTENT = {
    "bn": {
        "turned": np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1),
        "count": np.array(2**40),
        "big endian": np.array([1.5, -2], ">f4"),
    },
    "half": np.array([1, 2], np.float16),
    "empty": np.zeros((0, 3), np.float32),
    "Ω": np.arange(300, dtype=np.uint8),
}


def test_what_is_written_is_read(tmp_path):
    write_torch_file(tmp_path / "a.pth", CONTENT)
    got = read_torch_object(tmp_path / "a.pth")
    assert list(got) == list(CONTENT) and list(got["bn"]) == list(CONTENT["bn"])
    for name, want in {**CONTENT["bn"], **CONTENT}.items():
        if name != "bn":
            found = got["bn"].get(name, got.get(name))
            assert found.dtype == want.dtype.newbyteorder("=")
            np.testing.assert_array_equal(found, want)


def test_the_same_content_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_torch_file(tmp_path / name, CONTENT)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_values_are_aligned_and_the_pickle_is_plain(tmp_path):
    write_torch_file(tmp_path / "a.pth", CONTENT)
    content = (tmp_path / "a.pth").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.pth") as archive:
        assert archive.testzip() is None
        for entry in archive.infolist():
            values = archive.read(entry)
            if values:
                start = entry.header_offset
                lengths = content[start + 26 : start + 30]
                name, extra = (int.from_bytes(lengths[i : i + 2], "little") for i in (0, 2))
                assert (start + 30 + name + extra) % 64 == 0
                assert content[start + 30 + name + extra :].startswith(values)
        pickled = archive.read("archive/data.pkl")
    globals_ = {arg for code, arg, _ in pickletools.genops(pickled) if code.name == "GLOBAL"}
    assert globals_ == {
        "collections OrderedDict",
        "torch._utils _rebuild_tensor_v2",
        *(f"torch {kind}Storage" for kind in ("Float", "Half", "Long", "Byte")),
    }


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(TypeError, match="complex"):
        write_torch_file(tmp_path / "a.pth", {"a": np.zeros(2, np.complex64)})
    with pytest.raises(WeightsError, match="No such file.*; check its folder"):
        write_torch_file(tmp_path / "no" / "a.pth", CONTENT)
    assert not list(tmp_path.iterdir())
