"""Kept JSON files, each sealed with a sha256 over its own content.

The seal is a visible entry "sha256": the hash of all other entries as canonical JSON (sorted, no
spaces), "format" among them. It detects damage and edits by hand; it is not a signature.

Files of earlier versions have neither entry. A file with one of the two has lost the other and is
damaged. A file without both is old if it has the entries of old files and no others; where the
caller knows that this version wrote it, `is_sealed` is checked too.
"""

import errno
import hashlib
import json
import logging
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from rdvar_jax.errors import CheckpointError, one_line
from rdvar_jax.files.exhausted import exhausted
from rdvar_jax.files.replacing import write_json

FORMAT, SEAL = "format", "sha256"
FORMAT_VERSION = 1
UNSEALED = "its sha256 was removed"

MAX_BYTES = 64 << 20  # of a file; the pictures of `rdvar report` need the most, a few MB
MAX_LINE_BYTES = 1 << 20
MAX_DIGITS = 19  # of an integer

NUMBER, OPTIONAL_NUMBER = (int, float), (int, float, type(None))

logger = logging.getLogger("rdvar_jax")


class DamagedFile(CheckpointError):
    """A kept file that cannot be believed; `reason` says why in a few words."""

    def __init__(self, path: Path, error: Exception, way_out: str):
        what, reason = "is damaged or was edited", str(error)
        if isinstance(error, RecursionError):
            reason = "it is nested too deeply"
        if isinstance(error, OSError):
            what, reason = "cannot be read", error.strerror or reason
            way_out = f"make it readable, or {way_out}"
        super().__init__(one_line(f"{path} {what} ({reason}); {way_out}"))
        self.reason = one_line(reason)


@dataclass(frozen=True)
class Entries:
    """The entries of a kind of file.

    Attributes:
        required: the types of those that a reader needs.
        old: further ones that files of earlier versions have; others are refused there. None
          leaves that check to the reader.
        renamed: their old names and those of today.
    """

    required: Mapping[str, type | tuple[type, ...]]
    old: frozenset[str] | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Kept:
    """The content of a kept file, without format and seal."""

    value: dict[str, Any]
    is_sealed: bool


def write_sealed(path: Path, value: Mapping[str, Any]) -> None:
    """Replaces a file with sealed JSON; see `rdvar_jax.files.replacing`.

    Raises:
        ValueError: an infinity or NaN, which JSON lacks. The file is left unchanged.
        OSError: the file cannot be written.
    """
    write_json(path, seal({FORMAT: FORMAT_VERSION, **value}))


def read_sealed(path: Path, entries: Entries, way_out: str) -> Kept:
    """Reads a file of `write_sealed`, or one of an earlier version.

    Args:
        path: the file.
        entries: those of this kind.
        way_out: what to do about damage, as the end of a sentence.

    Raises:
        FileNotFoundError, NotADirectoryError: there is none.
        DamagedFile: it is damaged, was edited, or cannot be read.
    """
    try:
        value = _parse(_read(path))
        is_sealed = FORMAT in value or SEAL in value
        if is_sealed:
            _check_seal(value)
            if value.get(FORMAT) != FORMAT_VERSION:
                raise ValueError(f"its format is {value.get(FORMAT)!r}, of a newer version")
            value = {name: entry for name, entry in value.items() if name not in (FORMAT, SEAL)}
        else:
            value = {entries.renamed.get(name, name): entry for name, entry in value.items()}
        _check_entries(value, entries, is_sealed)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, OSError) and exhausted(error):
            raise  # not the file's fault: what looks damaged may be set aside
        raise DamagedFile(path, error, way_out) from error
    return Kept(value, is_sealed)


def refuse_unsealed(path: Path, way_out: str) -> NoReturn:
    """Raises the error of a file without a seal where this version must have written one."""
    raise DamagedFile(path, ValueError(UNSEALED), way_out)


def seal(value: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the entries with their seal as the last one."""
    return {**value, SEAL: content_hash(value)}


def content_hash(value: Mapping[str, Any]) -> str:
    """Returns the sha256 of the entries as canonical JSON.

    Raises:
        ValueError: an infinity or NaN.
    """
    plain = json.loads(json.dumps(value, allow_nan=False))  # names as JSON has them: texts
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sealed_line(value: Mapping[str, Any]) -> str:
    """Returns a sealed line for a file of JSON lines."""
    return json.dumps(seal(value), allow_nan=False) + "\n"


def read_sealed_lines(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Reads the intact lines of a file of `sealed_line`: each as text and without its seal.

    Damaged lines are left out, with one warning. A last line without its end was cut off by a kill,
    and is left out silently. Lines without a seal are of an earlier version: numbers besides
    "kind", and before all sealed ones.

    Raises:
        DamagedFile: the file cannot be read.
    """
    lines: list[tuple[str, dict[str, Any]]] = []
    damaged, seen_seal = [], False
    try:
        for number, content in enumerate(_raw_lines(path), start=1):
            try:
                value = _parse(content)
                if SEAL in value:
                    _check_seal(value)
                    seen_seal = True
                    del value[SEAL]
                elif seen_seal or not _is_old_line(value):
                    raise ValueError(UNSEALED)
                if not isinstance(value.get("kind"), str) or type(value.get("step")) is not int:
                    raise ValueError("kind or step is missing")
                lines.append((content.decode(), value))
            except (ValueError, RecursionError):
                if content.endswith(b"\n"):
                    damaged.append(number)
    except FileNotFoundError:
        return []
    except OSError as error:
        if exhausted(error):
            raise
        raise DamagedFile(path, error, "remove it.") from error
    if damaged:
        shown = ", ".join(map(str, damaged[:5])) + (", ..." if len(damaged) > 5 else "")
        logger.warning(
            "%s: %d damaged line%s left out (line %s); only curves of the training are drawn from "
            "this file",
            *(path, len(damaged), " is" if len(damaged) == 1 else "s are", shown),
        )
    return lines


def _read(path: Path) -> bytes:
    _refuse_special(path)
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
    return content


def _raw_lines(path: Path) -> Iterator[bytes]:
    """Yields lines with their ends; of longer ones than `MAX_LINE_BYTES` only the end."""
    _refuse_special(path)
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE_BYTES):
            while not line.endswith(b"\n") and (rest := file.readline(MAX_LINE_BYTES)):
                line = rest[-1:]
            yield line


def _refuse_special(path: Path) -> None:
    """Raises an OSError for a folder or a pipe, on which reading could wait."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is not a file")


def _parse(content: bytes) -> dict[str, Any]:
    """Parses a JSON object.

    Raises:
        ValueError: it is not one, with the reason.
    """
    if not content.strip():
        raise ValueError("it is empty")
    try:
        value = json.loads(
            content.decode("utf-8"), parse_constant=_refuse_constant, parse_int=_parse_int
        )
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error.msg} in line {error.lineno}") from error
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}")


def _parse_int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"it holds a number of {len(text)} digits")
    return int(text)


def _check_seal(value: dict[str, Any]) -> None:
    if SEAL not in value:
        raise ValueError(UNSEALED)
    rest = {name: entry for name, entry in value.items() if name != SEAL}
    if content_hash(rest) != value[SEAL]:
        raise ValueError("its sha256 does not fit its content")


def _check_entries(value: dict[str, Any], entries: Entries, is_sealed: bool) -> None:
    content_hash(value)  # raises for a number too large for a float, which JSON may hold
    for name, types in entries.required.items():
        if name not in value:
            raise ValueError(f"{name} is missing")
        if not isinstance(value[name], types) or isinstance(value[name], bool):
            raise ValueError(f"{name} is {type(value[name]).__name__}")
    if not is_sealed and entries.old is not None:
        unknown = value.keys() - entries.required.keys() - entries.old
        if unknown:
            raise ValueError(f"{min(unknown)!r} is unknown, and its sha256 is missing")


def _is_old_line(value: dict[str, Any]) -> bool:
    numbers = [entry for name, entry in value.items() if name != "kind"]
    return all(isinstance(x, NUMBER) and not isinstance(x, bool) for x in numbers)
