"""Thousands of damaged and crafted weight files: the reader refuses them, or reads them correctly.

Whatever the bytes are, nothing but a `WeightsError` comes out, memory stays in proportion to the
file, and every array that is read lies inside of a storage that the file holds. Bytes are changed
at random, pieces of other files are spliced in, and pickles are changed instruction by instruction,
with the archive's checksums made right again so that the changes reach the pickle machine.
"""

import io
import pickletools
import random
import struct
import tempfile
import tracemalloc
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch_golden
from torch_writer import WRITERS, Storage, Tensor, tensor

from rdvar_jax.errors import WeightsError
from rdvar_jax.weights.torch_format.reader import read_torch_object

# An archive costs the zip reader some kB a file; a pickle's instructions some hundred bytes each.
FIXED_BYTES, BYTES_PER_BYTE = 256 * 2**10, 200

# Replacements of an instruction: numbers at the limits of their types, and calls, names and stack
# operations in unexpected places.
INSTRUCTIONS = [
    *(b"\x8a" + bytes([len(raw)]) + raw for raw in (b"", b"\xff" * 8, b"\xff" * 7 + b"\x7f")),
    b"\x8a\xff" + b"\x7f" * 255,  # a number of 2040 bits
    *(b"J" + struct.pack("<i", number) for number in (-1, 0, 1, 2**31 - 1, -(2**31))),
    *(b"K" + bytes([number]) for number in (0, 1, 3, 255)),
    *(b"G" + struct.pack(">d", number) for number in (0.0, float("nan"), float("inf"), 1e300)),
    *(b"h" + bytes([index]) for index in range(12)),
    *(b"q" + bytes([index]) for index in range(4)),
    b"j\xff\xff\xff\xff",
    b"r\xff\xff\xff\xff",
    *(bytes([code]) for code in b"()]}NQRabestu.0l2o\x81\x85\x86\x87\x88\x89\x93\x94"),
    *(b"X" + struct.pack("<I", len(text)) + text for text in (b"", b"0", b"1", b"cpu", b"storage")),
    b"X\xff\xff\xff\xff",
    b"ctorch\nFloatStorage\n",
    b"ctorch\nLongStorage\n",
    b"ctorch\nBFloat16Storage\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"ctorch._utils\n_rebuild_parameter\n",
    b"ccollections\nOrderedDict\n",
    b"cbuiltins\neval\n",
]


@cache
def seeds(form: str) -> tuple[bytes, ...]:
    """Makes valid files: torch's own, and two that expand to much from little."""
    values = np.arange(6, dtype=np.float32)
    shared = Storage(values)
    halves = Storage(np.array([0x3F80, 0x7FC0], np.uint16), "BFloat16Storage")
    state = OrderedDict(
        whole=Tensor(shared, 0, (2, 3), (3, 1)),
        turned=Tensor(shared, 0, (3, 2), (1, 3)),
        part=Tensor(shared, 5, (1,), (1,), is_parameter=True),
        halves=Tensor(halves, 0, (2,), (1,)),
        counter=tensor(np.array(7)),
        none=tensor(np.zeros((0, 4), np.float64)),
    )
    state._metadata = OrderedDict(version=1)  # type: ignore[attr-defined]
    checkpoint = {"bn": state, "decoder": OrderedDict(a=tensor(values)), "rest": [1.5, (None, 3)]}
    with tempfile.TemporaryDirectory() as folder:
        made = [
            WRITERS[form](Path(folder) / "seed", checkpoint, protocol=protocol).read_bytes()
            for protocol in (2, 4)
        ]
    return (torch_golden.FILES[form], *made)


# --- ways to damage a file ----------------------------------------------------------------------


def change_bytes(content: bytes, rng: random.Random, form: str) -> bytes:
    """Flips, overwrites, deletes and inserts bytes; numbers become the limits of their types."""
    mutated = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8, 40])):
        place = rng.randrange(len(mutated))
        match rng.randrange(6):
            case 0:
                mutated[place] = rng.randrange(256)
            case 1:
                mutated[place] ^= 1 << rng.randrange(8)
            case 2 if len(mutated) > 16:
                del mutated[place : place + rng.randrange(1, 9)]
            case 3:
                mutated[place:place] = rng.randbytes(rng.randrange(1, 9))
            case _:
                layout = rng.choice(["<H", "<I", "<Q"])
                largest = 2 ** (8 * struct.calcsize(layout)) - 1
                number = struct.pack(layout, rng.choice([0, 1, largest // 2, largest]))
                mutated[place : place + len(number)] = number
    return bytes(mutated)


def splice(content: bytes, rng: random.Random, form: str) -> bytes:
    """Replaces pieces with those of this or other files, of both formats; or cuts the file short.

    In an archive it is often the pickle that they are put into, under a new checksum.
    """
    if form == "zip" and rng.random() < 0.7:
        entries = _entries(content)
        name = next(name for name in entries if name.endswith("/data.pkl"))
        entries[name] = splice(entries[name], rng, "pickle")
        return _archive(entries)
    other = rng.choice([*seeds("zip"), *seeds("legacy"), content])
    start, stop = sorted(rng.randrange(len(other) + 1) for _ in range(2))
    first, second = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    match rng.randrange(4):
        case 0:
            return content[:first]
        case 1:
            return content[:first] + other[start:]
        case 2:
            return content[:first] + other[start:stop] + content[first:]
        case _:
            return content[:first] + other[start:stop] + content[second:]


def change_instructions(content: bytes, rng: random.Random, form: str) -> bytes:
    """Replaces, doubles, moves or drops pickle instructions, or takes them from other files."""
    if form == "legacy":
        instructions, values = _instructions(content, pickles=5)
        return b"".join(_changed(instructions, rng)) + values
    entries = _entries(content)
    name = next(name for name in entries if name.endswith("/data.pkl"))
    entries[name] = b"".join(_changed(_instructions(entries[name], pickles=1)[0], rng))
    return _archive(entries)


def change_entries(content: bytes, rng: random.Random, form: str) -> bytes:
    """Damages what surrounds the pickles: entries of the archive, or the stream's values."""
    if form == "legacy":
        instructions, values = _instructions(content, pickles=5)
        return b"".join(instructions) + change_bytes(values, rng, form)
    entries = _entries(content)
    one, other = rng.choice(list(entries)), rng.choice(list(entries))
    match rng.randrange(5):
        case 0:
            entries[one] = change_bytes(entries[one] or b"\0", rng, form)
        case 1:
            entries[one], entries[other] = entries[other], entries[one]
        case 2:
            del entries[one]
        case 3:
            entries[rng.choice(["a/data.pkl", "/data.pkl", one + "/data/0", "../x"])] = (
                b"\x80\x02}."
            )
        case _:
            entries[one] += rng.randbytes(rng.randrange(1, 64))
    return _archive(entries)


MUTATIONS: dict[str, Callable[[bytes, random.Random, str], bytes]] = {
    "bytes": change_bytes,
    "splices": splice,
    "instructions": change_instructions,
    "entries": change_entries,
}


def _changed(instructions: list[bytes], rng: random.Random) -> list[bytes]:
    instructions = list(instructions)
    for _ in range(rng.choice([1, 1, 2, 4])):
        place, other = (rng.randrange(len(instructions)) for _ in range(2))
        match rng.randrange(6):
            case 0 | 1:
                instructions[place] = rng.choice(INSTRUCTIONS)
            case 2:
                instructions[place] = rng.choice(_foreign_instructions())
            case 3:
                instructions[place] *= rng.choice([0, 2, 3, 50])
            case 4:
                instructions.insert(other, rng.choice(INSTRUCTIONS))
            case _:
                one, two = instructions[place], instructions[other]
                instructions[place], instructions[other] = two, one
    return instructions


def _instructions(content: bytes, pickles: int) -> tuple[list[bytes], bytes]:
    """Returns the instructions of that many pickles at the start, and the rest."""
    file = io.BytesIO(content)
    starts = [place for _ in range(pickles) for _, _, place in pickletools.genops(file)]
    ends = [*starts[1:], file.tell()]
    pieces = [content[start:end] for start, end in zip(starts, ends, strict=True)]
    return pieces, content[file.tell() :]


@cache
def _foreign_instructions() -> list[bytes]:
    return [piece for content in seeds("legacy") for piece in _instructions(content, 5)[0]]


def _entries(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _archive(entries: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


# --- invariants ---------------------------------------------------------------------------------


def outcome(path: Path) -> str:
    """Reads the file; returns "read" or the reason of the refusal, without names and numbers."""
    size = path.stat().st_size
    tracemalloc.start()
    try:
        made = read_torch_object(path)
    except WeightsError as error:
        message = str(error)
        assert str(path) in message and "\n" not in message and message.isprintable()
        assert len(message) < len(str(path)) + 400
        reason = message.removeprefix(str(path)).split(";")[0]
        return "would run code" if "would run code" in reason else reason
    else:
        check_inside_storages(made)
        return "read"
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= FIXED_BYTES + BYTES_PER_BYTE * size, f"{peak} bytes for a file of {size}"


def check_inside_storages(made: object) -> None:
    """Checks that each array's memory is within that of its storage."""
    pending, seen = [made], set()
    while pending:
        value = pending.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list | tuple):
            pending += value
        elif isinstance(value, np.ndarray) and value.size:
            low, high = np.lib.array_utils.byte_bounds(value)
            start, end = allocated(value)
            assert start <= low and high <= end, "an array reaches beyond its storage"


def allocated(array: np.ndarray) -> tuple[int, int]:
    """Returns start and end of the memory below any number of views."""
    owner, base = array, array
    while (base := getattr(base, "base", None)) is not None:
        if isinstance(base, bytes):
            owner = np.frombuffer(base, np.uint8)
        elif isinstance(base, np.ndarray):  # numpy puts its own objects between views
            owner = base
    return np.lib.array_utils.byte_bounds(owner)


def fuzz(folder: Path, form: str, mutation: str, seed: int, count: int) -> Counter:
    """Counts each outcome; a failure names the seed and keeps the file."""
    mutate, outcomes = MUTATIONS[mutation], Counter()
    for number in range(count):
        rng = random.Random(f"{form} {mutation} {seed} {number}")
        path = folder / "mutated.pth"
        path.write_bytes(mutate(rng.choice(seeds(form)), rng, form))
        try:
            outcomes[outcome(path)] += 1
        except Exception as error:
            error.add_note(f"{form}, {mutation}, seed {seed}, number {number}: {path}")
            raise
    return outcomes


CASES = pytest.mark.parametrize(
    ("form", "mutation"), [(form, mutation) for form in WRITERS for mutation in MUTATIONS]
)


@CASES
def test_damaged_files_are_refused_or_read_rightly(tmp_path, form, mutation):
    outcomes = fuzz(tmp_path, form, mutation, seed=0, count=400)
    print(f"{form}, {mutation}: {outcomes.most_common()}")
    assert outcomes["read"] < 200, "the mutations hardly change anything"
    assert len(outcomes) >= 3, f"the mutations all end at the same place: {outcomes}"


@pytest.mark.nightly  # the test above with five times the files
@CASES
def test_many_damaged_files(tmp_path, form, mutation):
    # Other files each time: a failure names the seed and number that reproduce it.
    fuzz(tmp_path, form, mutation, seed=random.randrange(2**32), count=2000)


@pytest.mark.parametrize("form", WRITERS)
def test_files_that_are_right_are_read(tmp_path, form):
    for content in seeds(form):
        path = tmp_path / "right.pth"
        path.write_bytes(content)
        assert outcome(path) == "read"
