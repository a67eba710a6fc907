"""A pickle interpreter that builds plain data and nothing else.

A pickle is a small program. Python's own unpickler can import and call anything, set attributes on
the results, and allocate gigabytes for five bytes. State dicts need about forty of its
instructions, so only these are supported (protocols 2 to 5, and Python 2's strings): dicts, lists,
tuples, numbers, strings, and calls of the few functions that the caller passes. Every other
instruction or name is refused. Time and memory are linear in the bytes read, as long as the passed
functions check their arguments.

The instructions are documented in the standard library's `pickletools`; torch restricts its own
`torch.load(weights_only=True)` in the same way (`torch/_weights_only_unpickler.py`).
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any

from rdvar_jax.weights.printable import printable

_LONGEST_GLOBAL = 1024


class BadPickle(Exception):
    """The bytes are not a pickle, are damaged, or do something that a state dict never needs."""

    def __init__(self, reason: str, mend: str = "download or copy it again"):
        super().__init__(reason)
        self.mend = mend


class RefusedGlobal(BadPickle):
    """The pickle names a function or class that the caller does not allow."""

    def __init__(self, name: str):
        super().__init__(name)
        self.name = name


def load_pickle(
    data: bytes,
    start: int,
    allowed: Mapping[str, Any],
    persistent_load: Callable[[Any], Any],
) -> tuple[Any, int]:
    """Runs the pickle that begins at `data[start]`.

    Args:
        data: the bytes; those after the pickle's STOP are not read.
        start: where the pickle begins.
        allowed: the only globals, `"module.name"` to its replacement. Callables may be called, with
            arguments from the pickle.
        persistent_load: turns a persistent id (torch: a storage) into an object.

    Returns:
        The object and the position just behind the pickle.

    Raises:
        RefusedGlobal: it names something that is not in `allowed`.
        BadPickle: anything else that is wrong.
    """
    try:
        return _Machine(data, start, allowed, persistent_load).run()
    except (ArithmeticError, LookupError, TypeError, ValueError, struct.error) as error:
        # An empty stack, an unknown memo entry, bad UTF-8, wrong arguments: damaged bytes.
        raise BadPickle("its pickle is damaged") from error


class _Machine:
    def __init__(self, data, start, allowed, persistent_load):
        self.data: bytes = data
        self.position: int = start
        self.allowed: Mapping[str, Any] = allowed
        self.persistent_load: Callable[[Any], Any] = persistent_load
        self.stack: list[Any] = []
        self.outer_stacks: list[list[Any]] = []  # stacks below each open MARK
        self.memo: dict[int, Any] = {}  # a list would let one index allocate gigabytes

    def take(self, count: int) -> bytes:
        chunk = self.data[self.position : self.position + count]
        if count < 0 or len(chunk) < count:
            raise BadPickle("its pickle is cut short")
        self.position += count
        return chunk

    def number(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def line(self) -> str:
        end = self.data.index(b"\n", self.position, self.position + _LONGEST_GLOBAL)
        text = self.take(end - self.position).decode()
        self.position += 1
        return text

    def since_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.outer_stacks.pop()
        return items

    def top(self, count: int) -> tuple[Any, ...]:
        if len(self.stack) < count:
            raise BadPickle("its pickle is damaged")
        items = tuple(self.stack[-count:])
        del self.stack[-count:]
        return items

    def find_global(self, module: Any, name: Any) -> Any:
        if not isinstance(module, str) or not isinstance(name, str):
            raise BadPickle("its pickle is damaged")
        full_name = f"{module}.{name}"
        if full_name not in self.allowed:
            raise RefusedGlobal(full_name)
        return self.allowed[full_name]

    def call(self, function: Any, arguments: Any) -> Any:
        # The only callables on the stack are those in `allowed`.
        if not callable(function) or not isinstance(arguments, tuple):
            raise BadPickle("its pickle calls what cannot be called")
        return function(*arguments)

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise BadPickle("its pickle appends to what is not a list")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise BadPickle("its pickle sets items on what is not a dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[plain_key(key)] = value

    def drop_state(self) -> None:
        # BUILD sets attributes. State dicts use it for `_metadata` (module versions) alone.
        self.stack.pop()
        if not isinstance(self.stack[-1], dict):
            raise BadPickle("its pickle sets attributes on what is not a dict")

    def run(self) -> tuple[Any, int]:
        while (opcode := self.take(1)) != b".":  # STOP
            self.step(opcode)
        return self.stack.pop(), self.position

    def step(self, opcode: bytes) -> None:
        push = self.stack.append
        match opcode:
            case b"\x80":  # PROTO
                if self.number("<B") > 5:
                    raise BadPickle("its pickle protocol is not known")
            case b"\x95":  # FRAME, a hint for stream readers
                self.take(8)
            case b"(":  # MARK
                self.outer_stacks.append(self.stack)
                self.stack = []
            case b"N":  # NONE
                push(None)
            case b"\x88":  # NEWTRUE
                push(True)
            case b"\x89":  # NEWFALSE
                push(False)
            case b"K":  # BININT1
                push(self.number("<B"))
            case b"M":  # BININT2
                push(self.number("<H"))
            case b"J":  # BININT
                push(self.number("<i"))
            case b"\x8a":  # LONG1
                push(int.from_bytes(self.take(self.number("<B")), "little", signed=True))
            case b"G":  # BINFLOAT
                push(self.number(">d"))
            case b"X":  # BINUNICODE
                push(self.take(self.number("<I")).decode())
            case b"\x8c" | b"U":  # SHORT_BINUNICODE; Python 2's SHORT_BINSTRING
                push(self.take(self.number("<B")).decode())
            case b"T":  # Python 2's BINSTRING
                push(self.take(self.number("<i")).decode())
            case b")":  # EMPTY_TUPLE
                push(())
            case b"t":  # TUPLE
                items = tuple(self.since_mark())
                self.stack.append(items)
            case b"\x85" | b"\x86" | b"\x87":  # TUPLE1, TUPLE2, TUPLE3
                push(self.top(opcode[0] - 0x84))
            case b"]":  # EMPTY_LIST
                push([])
            case b"a":  # APPEND
                self.extend([self.stack.pop()])
            case b"e":  # APPENDS
                self.extend(self.since_mark())
            case b"}":  # EMPTY_DICT
                push({})
            case b"s":  # SETITEM
                self.set_items(list(self.top(2)))
            case b"u":  # SETITEMS
                self.set_items(self.since_mark())
            case b"q":  # BINPUT
                self.memo[self.number("<B")] = self.stack[-1]
            case b"r":  # LONG_BINPUT
                self.memo[self.number("<I")] = self.stack[-1]
            case b"\x94":  # MEMOIZE
                self.memo[len(self.memo)] = self.stack[-1]
            case b"h":  # BINGET
                push(self.memo[self.number("<B")])
            case b"j":  # LONG_BINGET
                push(self.memo[self.number("<I")])
            case b"c":  # GLOBAL
                push(self.find_global(self.line(), self.line()))
            case b"\x93":  # STACK_GLOBAL
                push(self.find_global(*self.top(2)))
            case b"R":  # REDUCE
                push(self.call(*self.top(2)))
            case b"b":  # BUILD
                self.drop_state()
            case b"Q":  # BINPERSID
                push(self.persistent_load(self.stack.pop()))
            case _:
                raise BadPickle(f"its pickle holds instruction {opcode.hex()}, not used by torch")


def plain_key(key: Any) -> str | int:
    """Returns `key` if it is a str or int: hashing a nested tuple can take exponential time."""
    if not isinstance(key, str | int):
        raise BadPickle(f"a dict has a key of type {printable(type(key).__name__)}")
    return key
