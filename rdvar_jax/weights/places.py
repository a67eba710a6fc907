"""Folders where ImageNet weights may be found without a network."""

import os
from pathlib import Path

from rdvar_jax.files.replacing import cache_folder, expanded, user_cache_folder

# timm's own name for torchvision's IMAGENET1K_V1; `tv2_in1k`, `a1_in1k` and others are weights of
# other recipes.
TIMM_RECIPE = "tv_in1k"
_TIMM_FILES = ("model.safetensors", "pytorch_model.bin")


def cache_dir() -> Path:
    """Returns `$RDVAR_CACHE/weights`, or `rdvar_jax/weights` in `$XDG_CACHE_HOME` or `~/.cache`."""
    return cache_folder() / "weights"


def torch_cache_dir() -> Path:
    """Returns torch hub's folder: `hub/checkpoints` in `$TORCH_HOME`, or `torch` in the cache."""
    own = os.environ.get("TORCH_HOME")
    root = expanded(own) if own else user_cache_folder() / "torch"
    return root / "hub" / "checkpoints"


def hub_cache_dir() -> Path:
    """Returns the Hugging Face hub's cache: `$HF_HUB_CACHE`, or `hub` in `$HF_HOME`."""
    own = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if own:
        return expanded(own)
    home = os.environ.get("HF_HOME")
    return (expanded(home) if home else user_cache_folder() / "huggingface") / "hub"


def timm_folder(arch: str) -> Path:
    """Returns the folder of timm's repository with torchvision's weights, in the hub's cache."""
    return hub_cache_dir() / f"models--timm--{arch}.{TIMM_RECIPE}"


def timm_files(arch: str) -> list[Path]:
    """Finds timm's copies of torchvision's weights in the hub's cache, the newest first."""
    found = [
        path
        for name in _TIMM_FILES
        for path in timm_folder(arch).glob(f"snapshots/*/{name}")
        if os.path.isfile(path)  # not a link to a file that was deleted
    ]
    return sorted(found, key=lambda path: (-path.stat().st_mtime, str(path)))


def is_timm_file(path: Path, arch: str) -> bool:
    """Returns whether a file or one of its folders has the name of timm's repository."""
    names = {f"models--timm--{arch}.{TIMM_RECIPE}", f"{arch}.{TIMM_RECIPE}"}
    return not names.isdisjoint([*path.absolute().parts[:-1], path.stem])
