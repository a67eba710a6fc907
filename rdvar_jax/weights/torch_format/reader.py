"""Reads torch's `.pth` and `.pt` files without torch, and without running code in them.

`torch.save` (`torch/serialization.py`) writes two formats:

- the zip archive, since torch 1.6: `<top>/data.pkl` is a pickle in which each tensor refers to its
  storage by a persistent id `("storage", type, key, location, number of values)`; the values are
  the raw bytes of `<top>/data/<key>`, in the byte order that `<top>/byteorder` names;
- the legacy stream: the pickles of a magic number, the protocol version, facts about the machine,
  the object and the list of its storages' keys, then for each key a little-endian int64 number of
  values and the values, also little-endian.

The pickles go through `restricted_pickle`, so nothing that they name is imported or called. All
sizes are checked against the file before anything is allocated: memory is proportional to the
file's size, whatever the file claims.
"""

import os
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from rdvar_jax.errors import WeightsError
from rdvar_jax.weights.printable import printable, printable_list
from rdvar_jax.weights.torch_format.restricted_pickle import BadPickle, RefusedGlobal, load_pickle
from rdvar_jax.weights.torch_format.tensors import (
    StorageType,
    allowed_globals,
    check_storage_id,
    decode_storage,
    tensor_builder,
)

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
# The pickle of a state dict takes some hundred bytes per tensor; a larger one is something else.
_LARGEST_PICKLE = 4 * 2**20
_COPY_AGAIN = "download or copy it again"
_SAVE_WEIGHTS = "save the weights alone with torch.save(model.state_dict(), file)"


def read_torch_file(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads a state dict: torch's names to arrays in torch's layouts and order.

    Of a checkpoint `{"state_dict": ...}` it returns the state dict. bfloat16 becomes float32,
    exactly; all other dtypes are kept. The arrays are read-only views: a tensor keeps its strides,
    and tensors that shared a storage still do.

    Raises:
        WeightsError: the file is missing, unreadable, damaged, in another format, would run code,
            or holds something other than one flat state dict.
    """
    top = read_torch_object(path)
    if isinstance(top, dict) and isinstance(top.get("state_dict"), dict):
        top = top["state_dict"]
    if not isinstance(top, dict):
        kind = "one tensor" if isinstance(top, np.ndarray) else f"a {type(top).__name__}"
        raise WeightsError(f"{path} holds {kind} instead of a state dict; {_SAVE_WEIGHTS}")
    others = [
        name
        for name, value in top.items()
        if not (isinstance(name, str) and isinstance(value, np.ndarray))
    ]
    if others:
        raise WeightsError(
            f"{path} is not a flat state dict, because these entries are not tensors: "
            f"{printable_list(others)}; {_SAVE_WEIGHTS}"
        )
    if not top:
        raise WeightsError(f"{path} holds an empty state dict; {_SAVE_WEIGHTS}")
    return top


def read_torch_object(path: str | os.PathLike[str]) -> Any:
    """Reads any plain data that `torch.save` wrote: dicts, lists, tuples, numbers and tensors.

    OrderedDicts become dicts, parameters and tensors become arrays as in `read_torch_file`.

    Raises:
        WeightsError: the file is missing, unreadable, damaged, in another format or would run code.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise WeightsError(f"{path} is not a file; give the path of a weight file")
        with path.open("rb") as file:
            head = file.read(64)
        size = path.stat().st_size
        if head.startswith(b"PK\x03\x04"):
            return _read_zip(path, size)
        if head.startswith(b"\x80"):
            return _read_legacy(path.read_bytes())
    except FileNotFoundError:
        raise WeightsError(f"{path} does not exist; check the path of the weight file") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WeightsError(f"{path} cannot be opened ({reason}); check its permissions") from error
    except RefusedGlobal as error:
        raise WeightsError(
            f"{path} would run code ({printable(error.name)}) and was not read; {_SAVE_WEIGHTS}"
        ) from None
    except BadPickle as error:
        raise WeightsError(f"{path} cannot be read: {error}; {error.mend}") from error
    if not head:
        raise WeightsError(f"{path} is empty (0 bytes); {_COPY_AGAIN}")
    kind = "a text file" if _is_text(head) else "in an unknown format"
    raise WeightsError(
        f"{path} is {kind}, not a file that torch.save wrote; {_COPY_AGAIN}, and check that it is "
        f"not a web page or a Git LFS pointer"
    )


def _is_text(head: bytes) -> bool:
    return all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head)


# --- the zip format -----------------------------------------------------------------------------


def _read_zip(path: Path, size: int) -> Any:
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # zipfile raises a dozen kinds of exception on damaged archives
        raise BadPickle("its zip archive is cut short or damaged") from error
    with archive:
        top = _check_archive(archive, size)
        pickled = _read_entry(archive, f"{top}/data.pkl", largest=_LARGEST_PICKLE)
        byteorder = b"little"  # archives older than torch 2.1 have no such entry
        if f"{top}/byteorder" in archive.namelist():
            byteorder = _read_entry(archive, f"{top}/byteorder", largest=16)
        if byteorder not in (b"little", b"big"):
            raise BadPickle("its byte order is neither little nor big")

        storages: dict[str, tuple[StorageType, np.ndarray]] = {}

        def load_storage(persistent_id: Any) -> np.ndarray:
            storage_type, key, count = check_storage_id(persistent_id)
            if key not in storages:
                raw = _read_entry(archive, f"{top}/data/{key}", largest=size)
                values = decode_storage(raw, storage_type, count, swapped=byteorder == b"big")
                storages[key] = (storage_type, values)
            known_type, values = storages[key]
            if known_type is not storage_type or len(values) != count:
                raise BadPickle("one storage is declared in two ways")
            return values

        return load_pickle(pickled, 0, allowed_globals(tensor_builder(size)), load_storage)[0]


def _check_archive(archive: zipfile.ZipFile, size: int) -> str:
    """Checks that it is a harmless archive of torch's; returns its one top folder."""
    entries = archive.infolist()
    names = {entry.filename for entry in entries}
    tops = [name.split("/")[0] for name in names if re.fullmatch(r"[^/]+/data\.pkl", name)]
    if len(tops) != 1:
        raise BadPickle("it is a zip archive without torch's data.pkl")
    if f"{tops[0]}/constants.pkl" in names:
        raise BadPickle(
            "it is a TorchScript archive, which holds code",
            mend="save its weights with torch.save(torch.jit.load(file).state_dict(), new_file)",
        )
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise BadPickle(
            "its archive is compressed, which torch never does",
            mend="use the file as torch.save wrote it",
        )
    # Without compression, entries can only add up to more than the file if they overlap or lie. An
    # entry has two sizes: zipfile allocates by one and returns by the other.
    if (
        len(names) != len(entries)
        or any(entry.compress_size != entry.file_size for entry in entries)
        or sum(entry.file_size for entry in entries) > size
    ):
        raise BadPickle("its archive declares more than the file holds")
    return tops[0]


def _read_entry(archive: zipfile.ZipFile, name: str, largest: int) -> bytes:
    try:
        entry = archive.getinfo(name)
        if entry.file_size > largest:
            raise BadPickle(f"{printable(name)} in its archive is too large")
        raw = archive.read(entry)  # verifies the checksum
    except KeyError:
        raise BadPickle(f"{printable(name)} is missing from its archive") from None
    except BadPickle:
        raise
    except Exception as error:  # zipfile raises a dozen kinds of exception on damaged archives
        raise BadPickle(f"{printable(name)} in its archive is damaged") from error
    if len(raw) != entry.file_size:
        raise BadPickle(f"{printable(name)} in its archive is cut short")
    return raw


# --- the legacy stream --------------------------------------------------------------------------


def _read_legacy(data: bytes) -> Any:
    pickles = data[:_LARGEST_PICKLE]
    storages: dict[str, tuple[StorageType, int]] = {}

    def note_storage(persistent_id: Any) -> None:
        storage_type, key, count = check_storage_id(persistent_id)
        known_type, known_count = storages.setdefault(key, (storage_type, count))
        if known_type is not storage_type or known_count != count:
            raise BadPickle("one storage is declared in two ways")

    # The values follow the pickles, so the object is run twice: first to learn its storages.
    dry = allowed_globals(lambda *_: None)
    magic, position = load_pickle(pickles, 0, dry, note_storage)
    if magic != _LEGACY_MAGIC:
        raise BadPickle("it is a pickle that torch did not write")
    version, position = load_pickle(pickles, position, dry, note_storage)
    if version != _LEGACY_PROTOCOL:
        raise BadPickle("its version of torch's stream format is not known")
    _, start = load_pickle(pickles, position, dry, note_storage)
    _, position = load_pickle(pickles, start, dry, note_storage)
    keys, position = load_pickle(pickles, position, dry, note_storage)
    if not (isinstance(keys, list) and all(isinstance(key, str) for key in keys)):
        raise BadPickle("its list of storages is damaged")
    if sorted(keys) != sorted(storages):
        raise BadPickle("its list of storages is damaged")

    values: dict[str, np.ndarray] = {}
    for key in keys:
        storage_type, count = storages[key]
        end = position + 8 + count * storage_type.dtype.itemsize
        if end > len(data):
            raise BadPickle("it is cut short")
        if struct.unpack_from("<q", data, position)[0] != count:
            raise BadPickle("a storage has another size than declared")
        values[key] = decode_storage(data[position + 8 : end], storage_type, count)
        position = end

    def load_storage(persistent_id: Any) -> np.ndarray:
        return values[check_storage_id(persistent_id)[1]]

    return load_pickle(pickles, start, allowed_globals(tensor_builder(len(data))), load_storage)[0]
