"""Files of a form (multipart/form-data) that is in memory already."""

import logging
from collections.abc import Mapping
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

# It warns of each damaged form, which is answered with a sentence.
logging.getLogger("python_multipart").setLevel(logging.ERROR)


class FormError(Exception):
    """A form is damaged; the message says how, without a full stop."""


class _Parts:
    """Collects the parts of a form; its methods are callbacks of the parser."""

    def __init__(self, most_parts: int):
        self._most, self._number = most_parts, 0
        self.files: list[tuple[str, bytes]] = []
        self.is_complete = False
        self._begin()

    def callbacks(self) -> dict[str, Any]:
        """Returns the callbacks by their names."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._add_field,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_part_data": self._add_data,
            "on_part_end": self._end,
            "on_end": self._complete,
        }

    def _begin(self) -> None:
        self._field, self._value = bytearray(), bytearray()
        self._disposition, self._data = b"", list[bytes]()

    def _add_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._field, self._value = bytearray(), bytearray()

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._data.append(data[start:end])

    def _end(self) -> None:
        self._number += 1
        if self._number > self._most:
            raise FormError(f"it has more than {self._most} parts")
        _, options = parse_options_header(self._disposition)
        if b"filename" in options:
            name = options[b"filename"].decode("utf-8", "replace")
            self.files.append((name, b"".join(self._data)))

    def _complete(self) -> None:
        self.is_complete = True


def read_form(content_type: str, body: bytes, most_parts: int) -> list[tuple[str, bytes]]:
    """Returns name and content of each file of a form, in order, whatever its field.

    Args:
        content_type: header that has the boundary of the parts.
        body: the whole form.
        most_parts: files and fields together.

    Raises:
        FormError: it is damaged, or has more parts.
    """
    parts = _Parts(most_parts)
    try:
        _, options = parse_options_header(content_type)
        boundary = _boundary(options)
        parser = MultipartParser(boundary, parts.callbacks())  # pyright: ignore[reportArgumentType]
        parser.write(body)
        parser.finalize()
    except FormError:
        raise
    except (FormParserError, ValueError) as error:
        raise FormError("it is damaged") from error
    if not parts.is_complete:
        raise FormError("its end is missing")
    return parts.files


def _boundary(options: Mapping[bytes, bytes]) -> bytes:
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise FormError("its content type has no boundary")
    return boundary
