"""Mutated files: only the reader's own error may come out, and memory stays in proportion.

A mutant of a zip archive mostly fails its checksums, so there the pickle is mutated first and the
archive written around it. The legacy stream has no checksums.
"""

import pickletools
import random
import tracemalloc
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import pytest
import torch_golden
from torch_writer import Storage, Tensor, pickled, tensor, write_legacy, write_zip

from rdvar_jax.errors import WeightsError
from rdvar_jax.weights.torch_file import read_torch_object

LARGEST = 2**21  # bytes for reading a file of a few thousand
OPCODES = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]
NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1]

Mutation = Callable[[bytearray, random.Random], None]


def flip(content: bytearray, rng: random.Random) -> None:
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def replace(content: bytearray, rng: random.Random) -> None:
    content[rng.randrange(len(content))] = rng.randrange(256)


def truncate(content: bytearray, rng: random.Random) -> None:
    del content[rng.randrange(len(content)) :]


def delete(content: bytearray, rng: random.Random) -> None:
    place = rng.randrange(len(content))
    del content[place : place + rng.randrange(1, 9)]


def insert(content: bytearray, rng: random.Random) -> None:
    place = rng.randrange(len(content))
    content[place:place] = rng.randbytes(rng.randrange(1, 9))


def splice(content: bytearray, rng: random.Random) -> None:
    """Copies a part of the file to another place, over what is there or between."""
    start, place = rng.randrange(len(content)), rng.randrange(len(content))
    part = content[start : start + rng.randrange(1, 200)]
    content[place : place + rng.choice([0, len(part)])] = part


def put_opcode(content: bytearray, rng: random.Random) -> None:
    place = rng.randrange(len(content))
    content[place : place + rng.randrange(2)] = rng.choice(OPCODES)


def repeat_opcode(content: bytearray, rng: random.Random) -> None:
    place = rng.randrange(len(content))
    content[place:place] = rng.choice(OPCODES) * rng.randrange(2, 400)


def put_number(content: bytearray, rng: random.Random) -> None:
    """A number at an edge of its type, such as a length."""
    size = rng.choice([1, 2, 4, 8])
    place = rng.randrange(len(content))
    number = rng.choice(NUMBERS) % 2 ** (8 * size)
    content[place : place + size] = number.to_bytes(size, "little")


def swap_instructions(content: bytearray, rng: random.Random) -> None:
    """Exchanges two whole instructions, where the bytes still are a pickle."""
    try:
        starts = [place for _, _, place in pickletools.genops(bytes(content)) if place is not None]
    except Exception:  # pickletools raises whatever it stumbles over
        return
    if len(starts) < 4:
        return
    a, b = sorted(rng.sample(range(len(starts) - 1), 2))
    first, second = (content[starts[i] : starts[i + 1]] for i in (a, b))
    between = content[starts[a + 1] : starts[b]]
    content[starts[a] : starts[b + 1]] = second + between + first


MUTATIONS: list[Mutation] = [
    flip,
    replace,
    truncate,
    delete,
    insert,
    splice,
    put_opcode,
    repeat_opcode,
    put_number,
    swap_instructions,
]


def mutated(content: bytes, rng: random.Random) -> bytes:
    result = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 8, 40])):
        if result:
            rng.choice(MUTATIONS)(result, rng)
    return bytes(result)


def state() -> dict:
    """Like RD4AD's checkpoints: nested, with a shared storage and a parameter."""
    shared = Storage(np.arange(24, dtype=np.float32))
    tensors = OrderedDict(
        weight=Tensor(shared, 0, (2, 3, 4), (12, 4, 1)),
        turned=Tensor(shared, 0, (4, 2, 3), (1, 12, 4)),
        bias=tensor(np.zeros(3, np.float32), is_parameter=True),
        count=tensor(np.array(7)),
    )
    return {"bn": tensors, "decoder": OrderedDict(weight=tensor(np.ones((2, 2), np.float16)))}


def mutants(kind: str, path, rng: random.Random):
    """Writes one mutant after the other to `path`."""
    pickles = [pickled(state(), protocol=p, is_legacy="legacy" in kind)[0] for p in (2, 4)]
    while True:
        if kind == "zip file":
            path.write_bytes(mutated(torch_golden.FILES["zip"], rng))
        elif kind == "legacy file":
            path.write_bytes(mutated(torch_golden.FILES["legacy"], rng))
        elif kind == "pickle in zip":
            write_zip(path, state(), data_pkl=mutated(rng.choice(pickles), rng))
        else:
            write_legacy(path, state(), object_pickle=mutated(rng.choice(pickles), rng))
        yield


def fuzz(kind: str, path, seed: int, count: int) -> dict[str, int]:
    rng = random.Random(seed)
    outcomes = {"read": 0, "refused": 0}
    files = mutants(kind, path, rng)
    for number in range(count):
        next(files)
        tracemalloc.start()
        try:
            read_torch_object(path)
            outcomes["read"] += 1
        except WeightsError as error:
            outcomes["refused"] += 1
            message = str(error)
            assert str(path) in message and message.isprintable() and ";" in message
        except BaseException as error:
            raise AssertionError(f"mutant {number} of {kind}, seed {seed}: {error!r}") from error
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert peak < LARGEST, f"mutant {number} of {kind}, seed {seed}: {peak} bytes"
    return outcomes


KINDS = pytest.mark.parametrize(
    "kind", ["zip file", "legacy file", "pickle in zip", "pickle in legacy"]
)


@KINDS
def test_mutants_raise_nothing_else(tmp_path, kind):
    outcomes = fuzz(kind, tmp_path / "a.pth", seed=1, count=500)
    assert outcomes["refused"] > 200, outcomes
    assert outcomes["read"] > 0, "the mutants never get far"


@pytest.mark.slow
@KINDS
def test_many_mutants_raise_nothing_else(tmp_path, kind):
    fuzz(kind, tmp_path / "a.pth", seed=2, count=10_000)
