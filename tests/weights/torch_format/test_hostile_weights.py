"""150 hostile weight files of all formats: refused or read, each within 10 s and 1 GiB.

`test_torch_fuzz.py` tries thousands of damaged torch files in this process. Here the address space
has a limit, which also counts what C and Rust allocate.
"""

import io
import json
import pickle
import random
import resource
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_torch_fuzz import MUTATIONS, change_bytes, seeds

from rdvar_jax.errors import WeightsError
from rdvar_jax.weights.weight_file import read_weights

SECONDS, BYTES = 10, 2**30


def files() -> Iterator[tuple[str, bytes]]:
    """Makes the files, the same ones each time."""
    rng = random.Random(17)
    for form in ("zip", "legacy"):
        for mutation, mutate in MUTATIONS.items():
            for number in range(10):
                content = mutate(rng.choice(seeds(form)), rng, form)
                yield f"{form} {mutation} {number}", content
    whole = _safetensors({"a": _tensor([2, 3], 0, 24), "b": _tensor([4], 24, 40)}, bytes(40))
    for number in range(30):
        yield f"safetensors bytes {number}", change_bytes(whole, rng, "safetensors")
    yield from _crafted_safetensors()
    yield from _crafted_torch()


def _tensor(shape: list, start: int, end: int, dtype: str = "F32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def _safetensors(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def _crafted_safetensors() -> Iterator[tuple[str, bytes]]:
    big, data = 2**63 - 1, bytes(64)
    for number, length in enumerate((2**64 - 1, 2**63, 2**40, 2**31, 10**8, 9)):
        yield f"header of {number}", struct.pack("<Q", length) + b"{" + bytes(64)
    for number, header in enumerate(
        (
            {"a": _tensor([big], 0, 64)},
            {"a": _tensor([2**32, 2**32], 0, 64)},
            {"a": _tensor([2**32, 2**32, 0], 0, 0)},
            {"a": _tensor([0] * 5000, 0, 0)},
            {"a": _tensor([1] * 5000, 0, 4)},
            {"a": _tensor([16], 0, big)},
            {"a": _tensor([16], big, 0)},
            {"a": _tensor([16], -64, 0)},
            {"a": _tensor([16], 0, 64), "b": _tensor([16], 0, 64)},
            {f"{n}": _tensor([16], 0, 64) for n in range(20_000)},
            {f"{n}": _tensor([0], 0, 0) for n in range(50_000)},
            {"a": _tensor([16.5], 0, 64)},
            {"a": _tensor(["16"], 0, 64)},
            {"a": _tensor([64], 0, 64, "I128")},
            {"a": None},
            {"__metadata__": {"source": "x" * 10**6}},
            {"__metadata__": {"source": {"a": 1}}},
            {"\x1b[2J" * 30: _tensor([16], 0, 64, "F8_E5M2")},
            b'{"a":' * 20_000,
            b"[" * 10**6,
            b'{"a": 1, "a": 2}',
            b"{" + b" " * 10**7,
            b"\xff" * 64,
            b"null",
        )
    ):
        yield f"header {number}", _safetensors(header, data)


class _Runs:
    def __reduce__(self):
        return (exec, ("raise SystemExit(99)",))


def _crafted_torch() -> Iterator[tuple[str, bytes]]:
    bodies = {
        "code": pickle.dumps({"a": _Runs()}, protocol=2),
        "deep": b"\x80\x02" + b"(" * 10**6 + b".",
        "nested": b"\x80\x02]" + b"q\x00h\x00\x85" * 10**5 + b".",
        "doubled": b"\x80\x02]q\x00" + b"(h\x00h\x00lq\x00" * 60 + b".",
        "long": b"\x80\x02\x8b\xff\xff\xff\x7f.",
        "text": b"\x80\x02X\xff\xff\xff\xff.",
        "memo": b"\x80\x02Nr\xff\xff\xff\xffj\xff\xff\xff\xff.",
        "name": b"\x80\x02c" + b"a" * 10**6 + b"\nb\n.",
    }
    for name, body in bodies.items():
        yield f"pickle {name}", body
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("archive/data.pkl", body)
        yield f"archive {name}", file.getvalue()
    for name, compression, size in (("bomb", zipfile.ZIP_DEFLATED, 2**28), ("zeros", 0, 2**20)):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", compression) as archive:
            archive.writestr("archive/data.pkl", bytes(size))
        yield f"archive of {name}", file.getvalue()


def read(path: Path, content: bytes) -> None:
    """Reads it as a teacher's file is read; a refusal is one sentence."""
    path.write_bytes(content)
    start = time.monotonic()
    try:
        read_weights(path)
    except WeightsError as error:
        assert str(path) in str(error) and str(error).isprintable() and len(str(error)) < 600
    assert time.monotonic() - start < SECONDS


def test_crafted_headers_are_refused_or_read(tmp_path):
    for name, content in _crafted_safetensors():
        try:
            read(tmp_path / "weights", content)
        except Exception as error:
            error.add_note(name)
            raise


@pytest.mark.slow  # a process of its own, for the limit of its address space
def test_all_within_the_limits(tmp_path):
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path / "weights")],
        **{"capture_output": True, "text": True, "timeout": 300},
        env={"PYTHONPATH": ":".join(sys.path), "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) >= 150


if __name__ == "__main__":
    made = list(files())
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, used + BYTES))
    for name, content in made:
        print(name, file=sys.stderr)
        read(Path(sys.argv[1]), content)
    print(len(made))
