import hashlib
import pickle
import struct
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch_golden
from torch_writer import WRITERS, Storage, Tensor, tensor, write_legacy, write_zip

from rdvar_jax.errors import WeightsError
from rdvar_jax.weights.torch_format.reader import read_torch_file, read_torch_object

FORMATS = pytest.mark.parametrize("form", ["zip", "legacy"])


def refused(path: Path) -> str:
    """Returns the message with which the reader refuses `path`, one sentence that names it."""
    with pytest.raises(WeightsError) as caught:
        read_torch_file(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message and message.isprintable()
    assert ";" in message, "no way out is given"
    return message


def assert_same(got: np.ndarray, want: np.ndarray) -> None:
    assert got.shape == want.shape and got.dtype == want.dtype
    assert got.tobytes() == want.tobytes()


# --- valid files --------------------------------------------------------------------------------


@FORMATS
def test_a_file_that_torch_wrote(tmp_path, form):
    path = tmp_path / "golden.pth"
    path.write_bytes(torch_golden.FILES[form])
    got = read_torch_file(path)
    assert list(got) == list(torch_golden.CONTENT)
    for name, want in torch_golden.CONTENT.items():
        assert_same(got[name], want)
    assert np.shares_memory(got["turned"], got["row"])


@FORMATS
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_type(tmp_path, form, protocol):
    values = np.array([0, 1, 2, 100, -3])
    types = "float32 float16 float64 int64 int32 int16 int8 uint8 bool".split()
    arrays = {name: values.astype(name) for name in types}
    arrays["scalar"] = np.array(2.5, np.float32)
    arrays["empty"] = np.zeros((0, 3), np.float32)
    state = OrderedDict((name, tensor(array)) for name, array in arrays.items())
    got = read_torch_file(WRITERS[form](tmp_path / "a.pth", state, protocol=protocol))
    assert list(got) == list(arrays)
    for name, want in arrays.items():
        assert_same(got[name], want)


@FORMATS
def test_bfloat16_becomes_float32_exactly(tmp_path, form):
    halves = np.arange(2**16, dtype=np.uint16)  # every one, not-a-numbers included
    state = {"a": Tensor(Storage(halves, "BFloat16Storage"), 0, (256, 256), (256, 1))}
    got = read_torch_file(WRITERS[form](tmp_path / "a.pth", state))["a"]
    assert got.dtype == np.float32 and got.shape == (256, 256)
    assert not got.flags.writeable
    want = halves.astype(np.uint32) << 16
    np.testing.assert_array_equal(np.ascontiguousarray(got).reshape(-1).view(np.uint32), want)


@FORMATS
def test_offsets_strides_and_shared_storages(tmp_path, form):
    base = np.arange(24, dtype=np.float32)
    storage = Storage(base)
    state = {
        "whole": Tensor(storage, 0, (2, 3, 4), (12, 4, 1)),
        "turned": Tensor(storage, 0, (4, 2, 3), (1, 12, 4)),
        "slice": Tensor(storage, 5, (2, 2), (12, 2)),
        "last": Tensor(storage, 23, (), ()),
        "expanded": Tensor(storage, 7, (3, 2), (0, 1)),
        "one long step": Tensor(storage, 2, (1, 3), (2**62, 1)),
        "parameter": Tensor(storage, 1, (2,), (3,), is_parameter=True),
    }
    got = read_torch_file(WRITERS[form](tmp_path / "a.pth", state))
    cube = base.reshape(2, 3, 4)
    assert_same(got["whole"], cube)
    assert_same(got["turned"], cube.transpose(2, 0, 1))
    assert_same(got["slice"], np.array([[5, 7], [17, 19]], np.float32))
    assert_same(got["last"], np.array(23, np.float32))
    assert_same(got["expanded"], np.array([[7, 8]] * 3, np.float32))
    assert_same(got["one long step"], np.array([[2, 3, 4]], np.float32))
    assert_same(got["parameter"], np.array([1, 4], np.float32))
    assert np.shares_memory(got["whole"], got["slice"])


@pytest.mark.parametrize("byteorder", ["big", None])
def test_order_of_bytes(tmp_path, byteorder):
    want = np.array([1.5, -2.25, 1e-30], np.float32)
    path = write_zip(tmp_path / "a.pth", {"a": tensor(want)}, byteorder=byteorder, top="any name")
    assert_same(read_torch_file(path)["a"], want)


REST = [1.5, (None, True), 2**40, -(2**40), -7, 300]


@FORMATS
def test_nested_objects(tmp_path, form):
    state = OrderedDict(weight=tensor(np.ones(3, np.float32)))
    state._metadata = OrderedDict(version=1)  # type: ignore[attr-defined]  # as modules add it
    checkpoint = {"bn": state, "decoder": state, "epoch": 3, "rest": REST}
    path = WRITERS[form](tmp_path / "a.pth", checkpoint)
    got = read_torch_object(path)
    assert list(got) == ["bn", "decoder", "epoch", "rest"]
    assert_same(got["bn"]["weight"], np.ones(3, np.float32))
    assert got["epoch"] == 3 and got["rest"] == REST
    assert "bn, decoder, epoch and 1 more" in refused(path)


@FORMATS
def test_state_dict_is_unwrapped(tmp_path, form):
    state = {"a": tensor(np.ones(2, np.float32))}
    path = WRITERS[form](tmp_path / "a.pth", {"epoch": 3, "state_dict": state})
    assert list(read_torch_file(str(path))) == ["a"]


def test_python_2_pickles(tmp_path):
    # OrderedDict([["a", 1], ["b", 2]]) as Python 2 wrote it: byte strings and a list of pairs.
    pairs = b"](](U\x01aK\x01e](T\x01\x00\x00\x00bK\x02ee"
    path = write_zip(
        tmp_path / "a.pth", data_pkl=b"\x80\x02ccollections\nOrderedDict\n" + pairs + b"\x85R."
    )
    assert read_torch_object(path) == {"a": 1, "b": 2}


@pytest.mark.real_data
def test_real_weights(shared):
    got = read_torch_file(shared / "weights" / "resnet18_imagenet_conv1_to_layer3.pth")
    assert len(got) == 90
    assert got["conv1.weight"].shape == (64, 3, 7, 7)
    # 2 782 784 parameters (11 689 512 less layer4 and fc) and two statistics of 2240 channels
    assert sum(array.size for array in got.values() if array.dtype == np.float32) == 2787264
    for name, array in got.items():
        kind = np.int64 if name.endswith("num_batches_tracked") else np.float32
        assert array.dtype == kind and np.isfinite(array).all()
    digest = hashlib.sha256(got["layer3.1.conv2.weight"].tobytes()).hexdigest()
    assert digest == "98e55737ccf24f5e8369af5ad45100f50bfc83937b9f6331aae3276acd2ebd7c"


# --- files that would run code ------------------------------------------------------------------


class Call:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


@FORMATS
def test_code_is_named_and_never_run(tmp_path, form):
    import os

    marker = tmp_path / "ran"
    touch = f"touch '{marker}'"
    python = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    attacks = {
        "posix.system": pickle.dumps(Call(os.system, touch), 2),
        "os.system": b"\x80\x02cos\nsystem\n" + text(touch) + b"\x85R.",
        "nt.system": b"\x80\x04" + text("nt") + text("system") + b"\x93" + text(touch) + b"\x85R.",
        "builtins.eval": pickle.dumps(Call(eval, python), 4),
        "__builtin__.eval": pickle.dumps(Call(eval, python), 2),
        "builtins.getattr": b"\x80\x04cbuiltins\ngetattr\ncos\nsystem\n.",
        "operator.attrgetter": b"\x80\x02coperator\nattrgetter\n" + text("system") + b"\x85R.",
        "collections.OrderedDict.__init__.__globals__": (
            b"\x80\x04" + text("collections") + text("OrderedDict.__init__.__globals__") + b"\x93."
        ),
        "torch.storage._load_from_bytes": b"\x80\x02ctorch.storage\n_load_from_bytes\n.",
        "torch.nn.modules.conv.Conv2d": b"\x80\x02ctorch.nn.modules.conv\nConv2d\n)R.",
    }
    for name, attack in attacks.items():
        if form == "zip":
            path = write_zip(tmp_path / "evil.pth", data_pkl=attack)
        else:
            path = write_legacy(tmp_path / "evil.pth", object_pickle=attack)
        message = refused(path)
        assert f"would run code ({name}) and was not read" in message
        assert "state_dict()" in message
    assert not marker.exists()


@pytest.mark.parametrize(
    "instructions",
    [
        pytest.param(b"(ios\nsystem\n.", id="INST"),
        pytest.param(b"(cos\nsystem\no.", id="OBJ"),
        pytest.param(b"ctorch._utils\n_rebuild_tensor_v2\n}X\x01\x00\x00\x00aK\x01sb.", id="BUILD"),
        pytest.param(b"ccollections\nOrderedDict\n)\x81.", id="NEWOBJ"),
        pytest.param(b"\x82\x01.", id="EXT1"),
        pytest.param(b"ctorch\nFloatStorage\n)R.", id="call of a class that is no function"),
        pytest.param(b"X\x01\x00\x00\x00a)R.", id="call of a string"),
        pytest.param(b"ccollections\nOrderedDict\nK\x05\x85R.", id="dict of a number"),
        pytest.param(b"}(K\x01u.", id="key without value"),
        pytest.param(b"]K\x01K\x02s.", id="item of a list"),
        pytest.param(b"}K\x01a.", id="append to a dict"),
        pytest.param(b"h\x07.", id="unknown memo"),
        pytest.param(b"t.", id="tuple without mark"),
        pytest.param(b"0.", id="POP"),
        pytest.param(b"\x95", id="ends in an argument"),
        pytest.param(b"", id="no STOP"),
        pytest.param(b"X\xff\xff\xff\xffabc", id="string longer than the file"),
        pytest.param(b"T\xff\xff\xff\xffabc", id="string of negative length"),
        pytest.param(b"X\x01\x00\x00\x00\xff.", id="not UTF-8"),
        pytest.param(b"K\x01Q.", id="persistent id that is a number"),
        pytest.param(b"(K\x01K\x02K\x03K\x04K\x05tQ.", id="persistent id of numbers"),
    ],
)
def test_other_instructions_are_refused(tmp_path, instructions):
    message = refused(write_zip(tmp_path / "a.pth", data_pkl=b"\x80\x02" + instructions))
    assert "would run code" in message or "cannot be read" in message


def test_a_hostile_name_stays_one_short_line(tmp_path):
    attack = b"\x80\x04" + text("os\n\x1b[31m" + "x" * 900) + text("system") + b"\x93."
    message = refused(write_zip(tmp_path / "a.pth", data_pkl=attack))
    assert len(message) < 300 + len(str(tmp_path))


# --- files that ask for too much ----------------------------------------------------------------


def peak_bytes(path: Path) -> int:
    """Returns the peak memory of refusing `path`."""
    tracemalloc.start()
    try:
        refused(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


LITTLE = 2**22
PAIRS = b"".join(b"](" + text(f"{number}") + b"K\x01e" for number in range(2000))
DOUBLED = b"K\x01" + b"q\x00h\x00\x86" * 22  # ((.., ..), (.., ..)): 2**22 leaves in 66 bytes


@FORMATS
@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(Tensor(Storage(np.ones(4, np.float32)), 0, (5,), (1,)), id="too long"),
        pytest.param(Tensor(Storage(np.ones(4, np.float32)), 4, (1,), (1,)), id="offset"),
        pytest.param(Tensor(Storage(np.ones(4, np.float32)), 0, (2, 2), (3, 1)), id="stride"),
        pytest.param(Tensor(Storage(np.ones(4, np.float32)), 4, (), ()), id="scalar beyond"),
        pytest.param(Tensor(Storage(np.ones(4, np.float32)), -1, (2,), (1,)), id="before"),
        pytest.param(Tensor(Storage(np.ones(4, np.float32)), 3, (2,), (-1,)), id="backwards"),
        pytest.param(Tensor(Storage(np.ones(4, np.float32)), 0, (-2,), (1,)), id="negative"),
        pytest.param(Tensor(Storage(np.ones(4, np.float32)), 0, (2, 2), (1,)), id="strides"),
        pytest.param(Tensor(Storage(np.ones(4, np.float32)), 0, 4, 1), id="shape is a number"),
        pytest.param(Tensor(Storage(np.ones(4, np.float32)), 0, (2.0,), (1,)), id="float shape"),
        pytest.param(Tensor(Storage(np.ones(4, np.float32)), 0, (1,) * 40, (1,) * 40), id="axes"),
        pytest.param(Tensor(Storage(np.ones(4, np.float32)), 0, (2**40,), (0,)), id="expanded"),
        pytest.param(Tensor(Storage(np.ones(4, np.float32)), 0, (2**80,), (0,)), id="huge"),
        pytest.param(Tensor(Storage(np.ones(4, np.float32)), 0, (0, 2**80), (1, 1)), id="empty"),
        pytest.param(
            Tensor(Storage(np.ones(4, np.float32), declared=2**50), 0, (4,), (1,)), id="storage"
        ),
        pytest.param(
            Tensor(Storage(np.ones(4, np.float32), declared=3), 0, (3,), (1,)), id="short storage"
        ),
        pytest.param(
            Tensor(Storage(np.ones(4, np.float32), declared=-1), 0, (0,), (1,)), id="less than none"
        ),
        pytest.param(Tensor("no storage", 0, (1,), (1,)), id="no storage"),
        pytest.param(tensor(np.ones(4, np.float32), metadata={"neg": True}), id="lazily negated"),
    ],
)
def test_tensors_stay_inside_their_storage(tmp_path, form, bad):
    path = WRITERS[form](tmp_path / "a.pth", {"bad": bad, "fine": tensor(np.ones(3))})
    assert peak_bytes(path) < LITTLE


@FORMATS
def test_one_storage_has_one_type(tmp_path, form):
    first, second = Storage(np.ones(4, np.float32)), Storage(np.ones(4, np.int32))
    first.key = second.key = "0"
    state = {"a": Tensor(first, 0, (4,), (1,)), "b": Tensor(second, 0, (4,), (1,))}
    assert "two ways" in refused(WRITERS[form](tmp_path / "a.pth", state))


def test_unknown_storage_class(tmp_path):
    state = {"a": Tensor(Storage(np.ones(4, np.float32), "ComplexFloatStorage"), 0, (2,), (1,))}
    assert "torch.ComplexFloatStorage" in refused(write_zip(tmp_path / "a.pth", state))


def test_compressed_archives_are_refused(tmp_path):
    state = {"a": tensor(np.zeros(10**7, np.float32))}
    path = write_zip(tmp_path / "a.pth", state, compression=zipfile.ZIP_DEFLATED)
    del state
    assert peak_bytes(path) < LITTLE
    assert "is compressed, which torch never does" in refused(path)


@pytest.mark.parametrize("sizes", [(2**31, 2**31), (2**31, 16), (16, 2**31)])
def test_entries_that_lie_about_their_size(tmp_path, sizes):
    path = write_zip(tmp_path / "a.pth", {"a": tensor(np.zeros(4, np.float32))})
    content = bytearray(path.read_bytes())
    name = content.rindex(b"archive/data/0")
    assert struct.unpack_from("<II", content, name - 46 + 20) == (16, 16)  # in the file, unpacked
    content[name - 46 + 20 : name - 46 + 28] = struct.pack("<II", *sizes)
    path.write_bytes(content)
    assert peak_bytes(path) < LITTLE
    assert "more than the file holds" in refused(path)


def test_an_entry_twice(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = write_zip(tmp_path / "a.pth", {}, extra={"data.pkl": b"\x80\x02}."})
    assert "more than the file holds" in refused(path)


@pytest.mark.parametrize(
    "instructions",
    [
        pytest.param(b"K\x01r\xff\xff\xff\xff.", id="memo index"),
        pytest.param(b"\x96" + struct.pack("<Q", 2**40) + b".", id="BYTEARRAY8"),
        pytest.param(b"}" + DOUBLED + b"K\x01s.", id="key that takes long to hash"),
        pytest.param(DOUBLED + b"X\x01\x00\x00\x00a\x93.", id="name that takes long to print"),
        pytest.param(DOUBLED + b"Q.", id="doubled persistent id"),
        pytest.param(
            b"]q\x01("
            + PAIRS
            + b"eccollections\nOrderedDict\nq\x02"
            + b"h\x02h\x01\x85R" * 2000
            + b".",
            id="one list, many dicts",
        ),
        pytest.param(b"(" * 20_000, id="marks"),
        pytest.param(b"]" + b"]" * 20_000 + b"a" * 20_000 + b".", id="deep lists"),
        pytest.param(b")" + b"\x85" * 20_000 + b".", id="deep tuples"),
    ],
)
def test_small_pickles_stay_small(tmp_path, instructions):
    path = write_zip(tmp_path / "a.pth", data_pkl=b"\x80\x02" + instructions)
    assert peak_bytes(path) < 8 * LITTLE


def test_a_pickle_too_large_for_a_state_dict(tmp_path):
    path = write_zip(tmp_path / "a.pth", data_pkl=b"\x80\x02]" + b"K\x01a" * 2_000_000 + b".")
    assert "too large" in refused(path)


# --- damaged and other files --------------------------------------------------------------------


def test_missing_file(tmp_path):
    assert "does not exist" in refused(tmp_path / "no.pth")
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file" / "below.pth")


def test_directory(tmp_path):
    assert "is not a file" in refused(tmp_path)


def test_no_permission(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "a.pth", {"a": tensor(np.ones(2))})

    def no_permission(*_, **__):  # chmod would not stop a test that is run by root
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", no_permission)
    assert "Permission denied" in refused(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", "is a text file"),
        (b"<!DOCTYPE html><html>not found</html>", "is a text file"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "in an unknown format"),
        (b"PK\x03\x04", "cut short or damaged"),
        (b"\x80\x02", "cut short"),
        (pickle.dumps([1, 2], 2), "torch did not write"),
    ],
)
def test_other_kinds_of_files(tmp_path, content, expected):
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    assert expected in refused(path)


def test_other_zip_archives(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "without torch's data.pkl" in refused(tmp_path / "a.zip")
    path = write_zip(tmp_path / "a.pth", {}, byteorder="middle")
    assert "byte order" in refused(path)


def test_torchscript(tmp_path):
    path = write_zip(tmp_path / "a.pt", {}, extra={"constants.pkl": b"", "code/a.py": b"1"})
    message = refused(path)
    assert "TorchScript" in message and "torch.jit.load" in message


@FORMATS
@pytest.mark.parametrize(
    "content", [{}, 3, "text", [1], {"a": 3}, {3: 4}, {"state_dict": 3}, {"state_dict": {}}]
)
def test_not_a_state_dict(tmp_path, form, content):
    assert "state dict" in refused(WRITERS[form](tmp_path / "a.pth", content))


@FORMATS
def test_a_single_tensor(tmp_path, form):
    path = WRITERS[form](tmp_path / "a.pth", tensor(np.ones(2)))
    assert "one tensor" in refused(path)


@FORMATS
def test_every_truncation_is_noticed(tmp_path, form):
    path = tmp_path / "a.pth"
    content = torch_golden.FILES[form]
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        refused(path)


def test_a_flipped_bit_in_the_values_is_noticed(tmp_path):
    path = tmp_path / "a.pth"
    content = bytearray(torch_golden.FILES["zip"])
    content[content.index(np.arange(12, dtype=np.float32).tobytes()) + 9] ^= 1
    path.write_bytes(content)
    assert "damaged" in refused(path)
