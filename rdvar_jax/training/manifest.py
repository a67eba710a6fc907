"""`manifest.json` of a checkpoint: the hash of each of its files, and the run's provenance."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rdvar_jax.files.sealed import (
    NUMBER,
    OPTIONAL_NUMBER,
    DamagedFile,
    Entries,
    read_sealed,
    write_sealed,
)

MANIFEST = "manifest.json"
ENTRIES = Entries(
    {"step": int, "epoch": OPTIONAL_NUMBER, "metrics": dict, "provenance": dict, "files": dict},
    old=frozenset(),
    renamed={"identity": "provenance"},  # up to 0.1.0
)


@dataclass(frozen=True)
class SavedStep:
    """Contents of a manifest.

    Attributes:
        step: completed steps.
        epoch: completed epochs, fractional if the run was stopped within one; None if unknown
            because it was trained elsewhere.
        metrics: of that epoch; empty if the run was stopped within one.
        provenance: everything that determines the trained parameters: settings, data, teacher.
          Called "identity" in manifests up to 0.1.0.
        files: sha256 of every file, by its path inside the step's folder.
        is_sealed: whether the manifest has a seal; those of earlier versions have none.
    """

    step: int
    epoch: float | None
    metrics: dict[str, float]
    provenance: dict[str, Any]
    files: dict[str, str]
    is_sealed: bool = field(default=True, compare=False)

    @property
    def sha256(self) -> str:
        """One hash for all files."""
        return hashlib.sha256(json.dumps(sorted(self.files.items())).encode()).hexdigest()


def write_manifest(
    folder: Path,
    step: int,
    epoch: float | None,
    metrics: dict[str, float],
    provenance: dict[str, Any],
) -> None:
    """Hashes every file of a step's folder and writes its manifest."""
    entries = asdict(SavedStep(step, epoch, metrics, provenance, dict(_hash_files(folder))))
    del entries["is_sealed"]
    write_sealed(folder / MANIFEST, entries)


def read_manifest(folder: Path) -> SavedStep | str:
    """Reads a step's manifest, or returns what is wrong with it."""
    path = folder / MANIFEST
    try:
        kept = read_sealed(path, ENTRIES, "remove the folder to continue without it.")
        saved = SavedStep(**kept.value, is_sealed=kept.is_sealed)
        _check(saved, folder.name)
    except FileNotFoundError:
        return f"{MANIFEST} is missing"
    except (DamagedFile, ValueError) as error:
        return f"{MANIFEST}: {getattr(error, 'reason', error)}"
    return saved


def _check(saved: SavedStep, name: str) -> None:
    """Raises a ValueError for contents that the types of the entries do not show."""
    if str(saved.step) != name:
        raise ValueError(f"it is of step {saved.step}")
    if not saved.files or not all(isinstance(digest, str) for digest in saved.files.values()):
        raise ValueError("files has no hashes")
    if not all(isinstance(value, NUMBER) for value in saved.metrics.values()):
        raise ValueError("metrics has another value than numbers")
    for name, kind in (("settings", dict), ("teacher", str)):
        if not isinstance(saved.provenance.get(name), kind):
            raise ValueError(f"provenance has no {name}")


def find_damage(folder: Path, saved: SavedStep) -> str | None:
    """Compares a step's files with its manifest; returns what is wrong, or None."""
    found = dict(_hash_files(folder))
    for name, digest in saved.files.items():
        if name not in found:
            return f"{name} is missing"
        if found[name] != digest:
            return f"{name} has changed since it was written"
    return None


def _hash_files(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MANIFEST:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            yield path.relative_to(folder).as_posix(), digest
