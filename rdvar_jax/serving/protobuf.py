"""Reader of protobuf messages by a schema that names everything that may be in them.

The ONNX package is not part of a light install, and a check before a runtime sees the file must
read what that runtime reads. So whatever the schema does not name is refused, not skipped.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_FIELDS = 200_000
"""Fields of a file, at most; those of the largest network are a tenth of it."""

INT, BYTES, FIXED32 = "whole number", "bytes", "32 bits"
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MAX_FIELD_NUMBER = (1 << 29) - 1


class MessageError(ValueError):
    """The bytes are not a message of the schema."""


@dataclass(frozen=True)
class Message:
    """Schema of a message: its fields by number, as (name, kind, may be repeated).

    Attributes:
        name: of the message, for errors.
        fields: kinds are `INT`, `BYTES`, `FIXED32`, or the schema of a message.
        refused: reasons by the number of other fields, for clear errors.
    """

    name: str
    fields: Mapping[int, tuple[str, Any, bool]]
    refused: Mapping[int, str] = field(default_factory=dict)


class _Budget:
    def __init__(self) -> None:
        self.left = MAX_FIELDS


def read_message(content: bytes, schema: Message) -> dict[str, list[Any]]:
    """Reads a message.

    Args:
        content: all of its bytes.
        schema: of the message.

    Returns:
        Values by field, a list each, empty without any: int, bytes as memoryview, and messages as
        dicts. Numbers that are repeated may be packed; those are memoryviews too.

    Raises:
        MessageError: it holds anything else, or too many fields.
    """
    return _read(memoryview(content), schema, _Budget())


def _read(content: memoryview, schema: Message, budget: _Budget) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {name: [] for name, _, _ in schema.fields.values()}
    for number, wire, value in _fields(content, budget):
        if number in schema.refused:
            raise MessageError(schema.refused[number])
        if number not in schema.fields:
            raise MessageError(f"field {number} of {schema.name} is unknown")
        name, kind, repeated = schema.fields[number]
        packed = repeated and kind in (INT, FIXED32) and wire == _LENGTH
        if not packed and wire != _wire_of(kind):
            raise MessageError(f"{name} of {schema.name} has another type")
        if found[name] and not repeated:
            raise MessageError(f"{name} of {schema.name} is there twice")
        found[name].append(_read(value, kind, budget) if isinstance(kind, Message) else value)
    return found


def _wire_of(kind: Any) -> int:
    return {INT: _VARINT, FIXED32: _FIXED32}.get(kind, _LENGTH) if isinstance(kind, str) else 2


def _fields(content: memoryview, budget: _Budget) -> Iterator[tuple[int, int, Any]]:
    """Yields number, wire type and value of each field."""
    at, end = 0, len(content)
    while at < end:
        budget.left -= 1
        if budget.left < 0:
            raise MessageError("it has too many entries")
        key, at = _varint(content, at)
        number, wire = key >> 3, key & 7
        if not 1 <= number <= _MAX_FIELD_NUMBER:
            raise MessageError("it is not a protobuf message")
        if wire == _VARINT:
            value, at = _varint(content, at)
        else:
            if wire == _LENGTH:
                size, at = _varint(content, at)
            elif wire in (_FIXED32, _FIXED64):
                size = 4 if wire == _FIXED32 else 8
            else:
                raise MessageError("it is not a protobuf message")
            if size > end - at:
                raise MessageError("its end is missing")
            value, at = content[at : at + size], at + size
        yield number, wire, value


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    """Returns a number of up to 64 bits, unsigned, and where the next field is."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(content):
            raise MessageError("its end is missing")
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >= 1 << 64:
                break
            return value, at
    raise MessageError("it is not a protobuf message")
