"""Address of a run: the hash of everything it depends on, under which its result is stored.

Two commands that ask for the same settings of the same code, on the same images with the same
teacher, ask for the same run, wherever the files are.
"""

import hashlib
import json
import os
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import rdvar_jax
from rdvar_jax.data.sets.folder import find_category
from rdvar_jax.errors import DataError
from rdvar_jax.runs.config import RANDOM_WEIGHTS, Config, flatten, good_names
from rdvar_jax.weights.catalogue import fetch, weights_at_hand
from rdvar_jax.weights.file_hash import sha256_of
from rdvar_jax.weights.procedural import PROCEDURAL, procedural_path

# Paths, figures and logging, none of which changes a result.
WITHOUT_EFFECT = ("data.root", "teacher.weights")
SECTIONS_WITHOUT_EFFECT = ("report", "logging", "distributed")
# Modules of this folder that train and score in place of `rdvar`.
OTHER_PROGRAMS = ("torch_program", "centre_program")
# The libraries whose arithmetic is in the result.
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "pillow")
DIGITS = 12
NOT_AT_HAND = "not at hand"


def identity(config: Config, program: str = "rdvar", weights_needed: bool = True) -> dict[str, Any]:
    """Everything that the result of a run depends on, except the machine.

    Args:
        config: of the run.
        program: that trains and scores it.
        weights_needed: else ImageNet weights that are not on this machine are neither downloaded
            nor missed. The address is then that of no run.

    Raises:
        DataError, WeightsError: images or weights are not there.
    """
    settings = {
        name: value
        for name, value in flatten(config).items()
        if name not in WITHOUT_EFFECT and name.split(".")[0] not in SECTIONS_WITHOUT_EFFECT
    }
    data = config.data
    versions = {name: version(name) for name in PACKAGES}
    other = {"program": program, "tools": tools_hash()} if program != "rdvar" else {}
    if program == "torch":
        versions["torch"] = version("torch") if find_spec("torch") else "not installed"
    return {
        **other,
        "settings": settings,
        "data": data_hash(data.root, data.category, data.layout, good_names(config)),
        "teacher": weights_hash(config.teacher.arch, config.teacher.weights, weights_needed),
        "code": code_hash(),
        "versions": versions,
    }


def address(of: dict[str, Any]) -> str:
    """The first digits of the hash of an `identity`."""
    text = json.dumps(of, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


@cache
def data_hash(root: str, category: str, layout: str, names: tuple[str, ...]) -> str:
    """sha256 over the names and files of a category: training images, test images and masks.

    Raises:
        DataError: there is no such category, or a file cannot be read.
    """
    found = find_category(Path(root), category, layout, good_names=names)
    digest = hashlib.sha256()
    for record in (*found.train, *found.test):
        digest.update(os.fsencode(record.name) + b"\0")
        masks = record.mask_path
        paths = [record.path]
        if isinstance(masks, Path) and masks.is_dir():
            paths += sorted(masks.iterdir())
        elif masks is not None:
            paths.append(masks)
        for path in paths:
            assert isinstance(path, Path)  # of a folder, not of a TFDS set
            try:
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
            except OSError as error:
                raise DataError(
                    f"{path} cannot be read ({error.strerror}); make it readable."
                ) from error
    return digest.hexdigest()


@cache
def weights_hash(arch: str, weights: str, needed: bool = True) -> str:
    """sha256 of the teacher's file; torchvision's is looked for in the caches, or downloaded.

    Where it is not needed, it is not downloaded: "not at hand".

    Raises:
        WeightsError: there is no such file.
    """
    if weights == RANDOM_WEIGHTS:
        return RANDOM_WEIGHTS
    if weights == PROCEDURAL:
        return sha256_of(procedural_path())
    if not needed:
        found = Path(weights).expanduser() if weights else weights_at_hand(arch)
        return sha256_of(found) if found and found.is_file() else NOT_AT_HAND
    return sha256_of(Path(weights).expanduser() if weights else fetch(arch).path)


@cache
def code_hash() -> str:
    """sha256 over the package's source: any change of it may change a result."""
    return _hash_of_source(Path(rdvar_jax.__file__).parent)


@cache
def tools_hash() -> str:
    """sha256 over the programs beside the package: the reference in PyTorch and their trainings."""
    tools = Path(__file__).resolve().parents[1]
    parts = [_hash_of_source(tools / "torch_reference")]
    parts += [sha256_of(tools / "reproduction" / f"{name}.py") for name in OTHER_PROGRAMS]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def _hash_of_source(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()
