"""Files in the user's cache folder: each has its key and the hash of all that is in it.

A file that is damaged, or has another key, is as good as none. A file is trusted like JAX's own
compiled programs beside it: whoever can write to the folder can run code. So nothing is kept in
files that users pass on, such as runs and bundles.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import jax

from rdvar_jax.files.replacing import cache_folder, replacing

# Counts changes of the files' format.
FORMAT = "rdvar kept program 1"
SUFFIX = ".kept"
MOST_FILES = 200


class Kept(NamedTuple):
    """Content of a file.

    Attributes:
        about: JSON entries.
        content: bytes.
    """

    about: dict[str, Any]
    content: bytes


def uses_kept_files() -> bool:
    """Tells whether JAX may keep programs (`JAX_ENABLE_COMPILATION_CACHE`), and so may we.

    `RDVAR_KEEP_PROGRAMS=0` turns off only ours: for those who change code of this package while it
    runs, such as tests.
    """
    if os.environ.get("RDVAR_KEEP_PROGRAMS") == "0":
        return False
    return bool(jax.config.values["jax_enable_compilation_cache"])


def programs_folder() -> Path:
    """Returns JAX's folder of compiled programs, or ours where JAX has none or one in a cloud."""
    folder = jax.config.values["jax_compilation_cache_dir"]
    if not folder or "://" in folder:
        folder = cache_folder() / "xla"
    return Path(folder)


def kept_path(name: str, key: str) -> Path:
    """Returns the path of a file.

    Args:
        name: letters, digits and underscores; for people.
        key: all that the content depends on.
    """
    return programs_folder() / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:32]}{SUFFIX}"


def read_kept(path: Path, key: str) -> Kept | None:
    """Reads a file; None if there is none, or it is damaged or of another key."""
    try:
        digest, _, rest = path.read_bytes().partition(b"\n")
        if hashlib.sha256(rest).hexdigest().encode() != digest:
            return None
        head, _, content = rest.partition(b"\n")
        found = json.loads(head)
        if found["format"] != FORMAT or found["key"] != key:
            return None
        os.utime(path)  # the files that were not used for longest are removed first
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Kept(found["about"], content)


def write_kept(path: Path, key: str, kept: Kept) -> None:
    """Writes a file, whole or not at all; several processes may do so at once.

    Does nothing where the folder cannot be written. At most `MOST_FILES` stay.
    """
    head = json.dumps({"format": FORMAT, "key": key, "about": kept.about}).encode()
    rest = head + b"\n" + kept.content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not synced: what a power cut leaves has another hash, and is made again.
        with replacing(path, shared=True, synced=False) as temporary:
            temporary.write_bytes(hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest)
        _remove_oldest(path.parent)
    except OSError:
        pass


def _remove_oldest(folder: Path) -> None:
    paths = list(folder.glob(f"*{SUFFIX}"))
    if len(paths) <= MOST_FILES:
        return
    for path in sorted(paths, key=lambda path: path.stat().st_mtime)[:-MOST_FILES]:
        path.unlink(missing_ok=True)
