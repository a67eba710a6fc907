"""Catalogue of torchvision's ImageNet weights: URLs, hashes, and finding a file without a network.

Files are checked by the first eight hex digits of their sha256, which torchvision puts into the
name. Names and hashes: `torchvision/models/resnet.py`, entries `IMAGENET1K_V1`; BSD-3-Clause.
Files of other programs with the same values are checked by these values.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rdvar_jax.errors import WeightsError
from rdvar_jax.weights.architectures import architecture_of_shapes
from rdvar_jax.weights.cache_file import sweep
from rdvar_jax.weights.download import download
from rdvar_jax.weights.file_hash import sha256_of
from rdvar_jax.weights.fingerprint import FINGERPRINTS, has_fingerprint
from rdvar_jax.weights.places import (
    TIMM_RECIPE,
    cache_dir,
    is_timm_file,
    timm_files,
    timm_folder,
    torch_cache_dir,
)
from rdvar_jax.weights.weight_file import read_weights

BASE_URL = "https://download.pytorch.org/models/"


@dataclass(frozen=True)
class CatalogueFile:
    """One of torchvision's weight files.

    Attributes:
        arch: its architecture.
        sha256_prefix: the first eight hex digits of its sha256.
        earlier: those of the file that torchvision offered before 2021, saved in torch's older
            format; "weights are unchanged" (pytorch/vision, pull request 3620). Empty: the same.
    """

    arch: str
    sha256_prefix: str
    earlier: str = ""

    @property
    def name(self) -> str:
        return f"{self.arch}-{self.sha256_prefix}.pth"

    @property
    def names(self) -> tuple[str, ...]:
        """Both names under which torch may have it."""
        return (self.name, f"{self.arch}-{self.earlier}.pth") if self.earlier else (self.name,)

    @property
    def url(self) -> str:
        return BASE_URL + self.name

    def has_hash(self, sha256: str) -> bool:
        """Returns whether a file with this sha256 is it."""
        return sha256.startswith((self.sha256_prefix, self.earlier or self.sha256_prefix))


CATALOGUE = {
    file.arch: file
    for file in (
        CatalogueFile("resnet18", "f37072fd", earlier="5c106cde"),
        CatalogueFile("resnet34", "b627a593", earlier="333f7ec4"),
        CatalogueFile("resnet50", "0676ba61", earlier="19c8e357"),
        CatalogueFile("wide_resnet50_2", "95faca4d"),
        CatalogueFile("wide_resnet101_2", "32ee1156"),
    )
}

# IMAGENET1K_V2, torchvision's DEFAULT: trained by another recipe, whose features hardly let reverse
# distillation detect defects.
REFUSED = (
    CatalogueFile("resnet50", "11ad3fa6"),
    CatalogueFile("wide_resnet50_2", "9ba9bcbe"),
    CatalogueFile("wide_resnet101_2", "d733dc28"),
)


@dataclass(frozen=True)
class FoundFile:
    """A file that may hold an architecture's ImageNet weights.

    Attributes:
        path: the file.
        sha256: of its content; empty if it cannot be read.
        source: URL of torchvision's file, or name of timm's repository.
        check: how it was recognised.
        is_verified: its content is known to be torchvision's, not only where it comes from.
        fault: why it is not used; empty if it can be.
    """

    path: Path
    sha256: str = ""
    source: str = ""
    check: str = ""
    is_verified: bool = False
    fault: str = ""

    @property
    def origin(self) -> str:
        """What is kept with everything trained on it."""
        return self.source if self.is_verified else f"{self.source}, {self.check}"


def weights_at_hand(arch: str) -> Path | None:
    """Finds a backbone's ImageNet weights on this machine, without downloading.

    Looks into the package's cache, torch hub's, and timm's files in the Hugging Face hub's. Reads
    the file whole to check it: some tenths of a second.

    Returns:
        The file that `teacher.weights=""` uses, or None: there is none, or it is damaged, or `arch`
        is not in the catalogue.
    """
    return next((f.path for f in found_files(arch) if not f.fault), None)


def fetch(arch: str) -> FoundFile:
    """Finds the ImageNet weights for `arch`, or downloads them to `cache_dir()`.

    The caches of other programs are searched too, but never written to. Every file is checked, and
    a wrong one is never overwritten or deleted.

    Raises:
        WeightsError: `arch` is not in the catalogue, a file in `cache_dir()` is damaged, the
            download fails or the cache cannot be written to.
    """
    file = catalogue_file(arch)
    cached = cache_dir() / file.name
    sweep(cached)
    for found in found_files(arch):
        if not found.fault:
            return found
        if found.path == cached:
            raise _unusable(found)
    download(file.url, cached, file.sha256_prefix, _by_hand(file))
    found = _judged_by_hash(file, cached)
    if found.fault:  # another process made it
        raise _unusable(found)
    return found


def catalogue_file(arch: str) -> CatalogueFile:
    """Returns the entry of an architecture.

    Raises:
        WeightsError: there is none.
    """
    if arch not in CATALOGUE:
        raise WeightsError(
            f"there are no weights for {arch!r}; set teacher.arch to one of "
            f"{', '.join(CATALOGUE)} or teacher.weights to a file"
        )
    return CATALOGUE[arch]


def places(arch: str) -> list[Path]:
    """Returns the folders in which `found_files` looks."""
    return [cache_dir(), torch_cache_dir(), timm_folder(arch)]


def found_files(arch: str) -> Iterator[FoundFile]:
    """Yields the files that may hold the ImageNet weights, the preferred ones first, checked."""
    if arch not in CATALOGUE:
        return
    file = CATALOGUE[arch]
    for folder in (cache_dir(), torch_cache_dir()):
        for path in (folder / name for name in file.names):
            if os.path.exists(path):
                yield _judged_by_hash(file, path)
    for path in [*sorted(cache_dir().glob(f"{placed_name(arch, '*')}.*")), *timm_files(arch)]:
        yield judge(arch, path)


def placed_name(arch: str, sha256: str) -> str:
    """Returns the name, without suffix, that a file of another program gets in the cache."""
    return f"{arch}.{TIMM_RECIPE}-{sha256[:8]}"


def judge(arch: str, path: Path) -> FoundFile:
    """Checks whether a file in any format holds an architecture's ImageNet weights."""
    file = CATALOGUE[arch]
    try:
        sha256 = sha256_of(path)
        refuse_v2(path, sha256)
        if file.has_hash(sha256):
            return FoundFile(path, sha256, file.url, "sha256 verified", is_verified=True)
        expected = _hash_in_name(arch, path)
        if not sha256.startswith(expected):
            return FoundFile(path, sha256, fault=_damaged(expected[:8], sha256))
        tensors, metadata = read_weights(path)
        refuse_v2(path, metadata.get("source_sha256", ""))
    except WeightsError as error:
        return FoundFile(path, fault=f"is not used: {error}")
    found = architecture_of_shapes({name: tensor.shape for name, tensor in tensors.items()})
    if found != arch:
        return FoundFile(path, sha256, fault=f"holds {found or 'another network'}, not {arch}")
    if arch in FINGERPRINTS:
        if has_fingerprint(tensors, FINGERPRINTS[arch]):
            return FoundFile(path, sha256, file.url, "values verified", is_verified=True)
        return FoundFile(path, sha256, fault="holds other values than torchvision's IMAGENET1K_V1")
    is_placed = path.parent == cache_dir() and path.name.startswith(placed_name(arch, sha256))
    if is_placed or is_timm_file(path, arch):
        source = f"timm's {arch}.{TIMM_RECIPE}"
        return FoundFile(
            path, sha256, source, "whose values could not be compared with torchvision's"
        )
    return FoundFile(path, sha256, fault="cannot be told from weights of another recipe")


def refuse_v2(path: Path, sha256: str) -> None:
    """Refuses torchvision's IMAGENET1K_V2 files, recognised by name or hash.

    Args:
        path: the file.
        sha256: of the file, or of the one that it was converted from.

    Raises:
        WeightsError: it is one of them.
    """
    for file in REFUSED:
        if sha256.startswith(file.sha256_prefix) or file.sha256_prefix in path.name:
            raise WeightsError(
                f"{path} is torchvision's IMAGENET1K_V2 file {file.name}, whose different features "
                f"lead to results near chance; leave teacher.weights empty to use the "
                f"IMAGENET1K_V1 file {CATALOGUE[file.arch].name}"
            )


def _judged_by_hash(file: CatalogueFile, path: Path) -> FoundFile:
    try:
        sha256 = sha256_of(path)
    except WeightsError as error:
        return FoundFile(path, fault=f"is not used: {error}")
    # By its own name: a file with the earlier one's name and the other's content was renamed.
    expected = path.stem.removeprefix(f"{file.arch}-")
    if not sha256.startswith(expected):
        return FoundFile(path, sha256, fault=_damaged(expected, sha256))
    return FoundFile(path, sha256, file.url, "sha256 verified", is_verified=True)


def _unusable(found: FoundFile) -> WeightsError:
    return WeightsError(f"{found.path} {found.fault}; move it away to download it again")


def _hash_in_name(arch: str, path: Path) -> str:
    """Returns the sha256, or its first digits, that a file's name states; empty if it does not."""
    if path.parent == cache_dir():
        start = placed_name(arch, "")
        return path.stem.removeprefix(start) if path.name.startswith(start) else ""
    # The hub's cache stores large files under their sha256, and links to them.
    blob = path.resolve()
    return blob.name if blob.parent.name == "blobs" and len(blob.name) == 64 else ""


def _damaged(expected: str, sha256: str) -> str:
    return (
        f"is damaged or another file: its sha256 should begin with {expected} but begins with "
        f"{sha256[:8]}"
    )


def _by_hand(file: CatalogueFile) -> str:
    looked_in = ", ".join(map(str, places(file.arch)))
    return (
        f"no usable copy is in {looked_in}; copy it (sha256 {file.sha256_prefix}...) from "
        f"{file.url} to this machine and put it in place by rdvar weights --from FILE, or set "
        "teacher.weights to a file"
    )
