"""Bundle files: members and a manifest with the sha256 of each.

A bundle is a zip without compression: one file to copy, readable on every system and by Python's
standard library. Members are read into memory under fixed names and never extracted, so no name
can point elsewhere on the disk.
"""

import hashlib
import json
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from rdvar_jax.errors import BundleError
from rdvar_jax.files.locks import locked_file
from rdvar_jax.files.replacing import replacing, temporary_of

FORMAT = "rdvar bundle"
FORMAT_VERSION = 2  # with IGNORE; without it bundles have 1, which earlier versions read

MANIFEST, MANIFEST_HASH = "manifest.json", "manifest.sha256"
PROGRAM, WEIGHTS = "program.stablehlo", "weights.safetensors"
IGNORE = "ignore.png"  # only where a run has one
MEMBERS = (PROGRAM, WEIGHTS)

MAX_MANIFEST_BYTES = 1_000_000
_MAX_DIRECTORY_BYTES = 4096  # of five members
# A zip's last record, without the comment that bundles do not have: the fifth number is the size of
# the directory before it.
_END = struct.Struct("<4s4H2LH")
# Of every member, so that equal content makes equal files.
_DATE = (1980, 1, 1, 0, 0, 0)


def write_bundle(path: Path, about: Mapping[str, Any], members: Mapping[str, bytes]) -> None:
    """Writes a bundle atomically.

    Args:
        path: the file; its folder must exist.
        about: further JSON entries of the manifest.
        members: the content of each of `MEMBERS`, and perhaps of `IGNORE`.

    Raises:
        BundleError: the file cannot be written.
    """
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION if IGNORE in members else 1,
        **about,
        "files": {
            name: {"bytes": len(content), "sha256": _sha256(content)}
            for name, content in members.items()
        },
    }
    text = json.dumps(manifest, indent=2, allow_nan=False).encode() + b"\n"
    # The format of `sha256sum --check`.
    hash_line = f"{_sha256(text)}  {MANIFEST}\n".encode()

    with writing_model(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {MANIFEST: text, MANIFEST_HASH: hash_line, **members}.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), content)


@contextmanager
def writing_model(path: Path) -> Iterator[Path]:
    """Replaces an exported file atomically; see `rdvar_jax.files.replacing`.

    Raises:
        BundleError: the folder is missing or not writable, or the disk is full.
    """
    with _writing(path), replacing(path) as temporary:
        yield temporary


@contextmanager
def writing_alone(path: Path) -> Iterator[None]:
    """Keeps other exports from writing the file.

    Raises:
        InUseError: another one does already.
        BundleError: see `writing_model`.
    """
    with ExitStack() as stack:
        with _writing(path):
            way_out = "wait until it ends, or give another --output"
            stack.enter_context(locked_file(path, way_out))
            temporary_of(path).unlink(missing_ok=True)  # of a killed call
        yield


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BundleError(
            f"{path} cannot be written ({error.strerror or error}); choose a file in a writable "
            "folder with free space."
        ) from error


def read_bundle(path: Path, sha256: str | None = None) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Reads a bundle's manifest and members and verifies their hashes.

    Args:
        path: the file.
        sha256: expected hash of the whole file, in hexadecimal; None for no such check.

    Raises:
        BundleError: the file cannot be read, was not written by `rdvar export`, was damaged or
          changed, or has a newer format.
    """
    with reading(path, _damaged), path.open("rb") as file:
        if sha256 is not None:
            check_sha256(path, hashlib.file_digest(file, "sha256").hexdigest(), sha256)
        size = path.stat().st_size
        _check_directory(path, file, size)
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            for entry in entries:
                _check_entry(path, entry)
            if sum(entry.file_size for entry in entries) > size:
                raise _damaged(path, "it declares more than the file holds")
            manifest = _read_manifest(path, archive)
            expected = MEMBERS if manifest["format_version"] == 1 else (*MEMBERS, IGNORE)
            if sorted(entry.filename for entry in entries) != sorted(
                (MANIFEST, MANIFEST_HASH, *expected)
            ):
                raise _damaged(path, "its files are not those of a bundle")
            members = {name: archive.read(name) for name in expected}
        for name, content in members.items():
            if _sha256(content) != manifest["files"][name]["sha256"]:
                raise _damaged(path, f"{name} does not have the sha256 in the manifest")
    return manifest, members


def _read_manifest(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    names = archive.namelist()
    if MANIFEST not in names:
        raise BundleError(f"{path} is not a bundle, because {MANIFEST} is missing; {_EXPORT}")
    if archive.getinfo(MANIFEST).file_size > MAX_MANIFEST_BYTES:
        raise _damaged(path, f"its {MANIFEST} is too large")
    text = archive.read(MANIFEST)
    manifest = json.loads(text)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BundleError(
            f"{path} is not a bundle, because its {MANIFEST} has another format; {_EXPORT}"
        )
    version = manifest.get("format_version")
    if type(version) is int and version > FORMAT_VERSION:
        raise BundleError(
            f"{path} has bundle format {version}, but this version reads up to {FORMAT_VERSION}; "
            "update rdvar-jax."
        )
    expected = archive.read(MANIFEST_HASH).split() if MANIFEST_HASH in names else [b""]
    if version not in range(1, FORMAT_VERSION + 1) or expected[0] != _sha256(text).encode():
        raise _damaged(path, f"{MANIFEST} was changed")
    return manifest


_EXPORT = "use a file written by rdvar export."


def _check_directory(path: Path, file: IO[bytes], size: int) -> None:
    """Checks the size of the zip's directory, all of which zipfile reads into objects."""
    file.seek(max(0, size - _END.size))
    end = file.read(_END.size)
    if len(end) < _END.size or not end.startswith(b"PK\5\6"):
        raise _damaged(path, "its end is missing")
    _, _, _, _, _, directory, _, comment = _END.unpack(end)
    if directory > _MAX_DIRECTORY_BYTES or comment:
        raise _damaged(path, "its directory is too large")
    file.seek(0)


def _check_entry(path: Path, entry: zipfile.ZipInfo) -> None:
    # No compression, so a small file cannot expand into a large one in memory.
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
        raise _damaged(path, "it was repacked with compression")


@contextmanager
def reading(
    path: Path,
    damaged: Callable[[Path, str], BundleError],
    passed: tuple[type[Exception], ...] = (),
) -> Iterator[None]:
    """Turns any exception about a bad file into a BundleError.

    Args:
        path: the file.
        damaged: makes the error from the file and the reason.
        passed: exceptions that are left as they are.
    """
    try:
        yield
    except (BundleError, *passed):
        raise
    except FileNotFoundError:
        raise BundleError(f"{path} does not exist; {_EXPORT}") from None
    except IsADirectoryError:
        raise BundleError(f"{path} is a folder; {_EXPORT}") from None
    except PermissionError as error:
        raise BundleError(f"{path} cannot be read; grant read access to it.") from error
    # Everything: the file is untrusted, and zipfile does not document all its exceptions.
    except Exception as error:
        raise damaged(path, str(error) or type(error).__name__) from error


def check_sha256(path: Path, found: str, expected: str) -> None:
    """Raises a BundleError if a file's sha256 is not the expected one."""
    if found != expected.lower():
        raise BundleError(
            f"{path} has the sha256 {found}, but {expected} is expected; use the intended bundle."
        )


def _damaged(path: Path, reason: str) -> BundleError:
    return BundleError(
        f"{path} is not an intact bundle ({reason}); copy it again, or export it again with rdvar "
        "export."
    )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
