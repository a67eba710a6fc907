"""`rdvar weights --from FILE`: checks a weight file and puts it into the cache."""

import os
import shutil
from pathlib import Path

from rdvar_jax.errors import WeightsError
from rdvar_jax.files.replacing import replacing
from rdvar_jax.models.build import build_teacher, image_shape
from rdvar_jax.models.image_size import SIZE_MULTIPLE
from rdvar_jax.models.initialise import abstract_variables
from rdvar_jax.weights.architectures import IMAGENET_WIDTH, architecture_of_shapes
from rdvar_jax.weights.cache_file import cache_lock
from rdvar_jax.weights.catalogue import (
    CATALOGUE,
    FoundFile,
    judge,
    placed_name,
    refuse_v2,
)
from rdvar_jax.weights.file_hash import sha256_of
from rdvar_jax.weights.load_teacher import load_teacher
from rdvar_jax.weights.places import TIMM_RECIPE, cache_dir
from rdvar_jax.weights.weight_file import is_safetensors, read_weights


def place_weights(path: Path, arch: str | None) -> str:
    """Checks a file in any known format and copies it to where `teacher.weights=""` finds it.

    Args:
        path: the file.
        arch: the backbone that it must hold; by default the one that its tensors fit.

    Returns:
        One line that says where it is now and how it was recognised.

    Raises:
        WeightsError: it is not the ImageNet weights of a backbone of the catalogue, or the cache
            cannot be written to. Nothing is changed then.
    """
    if arch is not None and arch not in CATALOGUE:
        raise WeightsError(f"--arch {arch} is not one of {', '.join(CATALOGUE)}")
    if not os.path.isfile(path):
        raise WeightsError(f"{path} is not a file; give --from a .pth or safetensors file")
    refuse_v2(path, sha256_of(path))
    arch = _architecture(path, arch)
    found = judge(arch, path)
    if found.fault:
        raise WeightsError(f"{path} {found.fault}; {_way_out(path, arch)}")
    expected = abstract_variables(build_teacher(arch, IMAGENET_WIDTH), image_shape(SIZE_MULTIPLE))
    load_teacher(arch, str(path), expected)
    target = cache_dir() / _name(arch, found)
    text = f"{arch}, {found.check}" if found.is_verified else f"{found.source}, {found.check}"
    if target.exists() and sha256_of(target) == found.sha256:
        return f"{path} ({text}) is in place already: {target}"
    _copy(found, target)
    return f"put {path} ({text}) in place: {target}"


def _architecture(path: Path, wanted: str | None) -> str:
    tensors, _ = read_weights(path)
    found = architecture_of_shapes({name: tensor.shape for name, tensor in tensors.items()})
    if found not in CATALOGUE:
        raise WeightsError(
            f"{path} holds {found or 'another network'}, not {wanted or ' or '.join(CATALOGUE)}; "
            "give the file of one of these"
        )
    if wanted not in (None, found):
        raise WeightsError(f"{path} holds the weights of {found}, not of {wanted}; change --arch")
    return found


def _way_out(path: Path, arch: str) -> str:
    return (
        f"get torchvision's {CATALOGUE[arch].name}, keep timm's file in its folder "
        f"{arch}.{TIMM_RECIPE}, or use this one as it is by --config.teacher.weights={path}"
    )


def _name(arch: str, found: FoundFile) -> str:
    for name in CATALOGUE[arch].names:
        if found.sha256.startswith(name.removeprefix(f"{arch}-").removesuffix(".pth")):
            return name
    suffix = ".safetensors" if is_safetensors(found.path) else ".pth"
    return placed_name(arch, found.sha256) + suffix


def _copy(found: FoundFile, target: Path) -> None:
    try:
        with cache_lock(target), replacing(target, shared=True) as part:
            shutil.copyfile(found.path, part)
            if sha256_of(part) != found.sha256:
                raise WeightsError(f"{found.path} changed while it was copied; try again")
    except OSError as error:
        raise WeightsError(
            f"{target} cannot be written ({error.strerror}); set RDVAR_CACHE to another folder"
        ) from error
