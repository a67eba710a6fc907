"""Catalogue of torchvision's ImageNet weights: URLs, hashes and the cache.

Files are checked by the first eight hex digits of their sha256, which torchvision puts into the
name. Names and hashes: `torchvision/models/resnet.py`, entries `IMAGENET1K_V1`; BSD-3-Clause.
"""

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from rdvar_jax.errors import WeightsError
from rdvar_jax.files.replacing import cache_folder, expanded, replacing, user_cache_folder

BASE_URL = "https://download.pytorch.org/models/"
TIMEOUT_SECONDS = 30.0  # without data, not in total
_CHUNK = 2**20


@dataclass(frozen=True)
class CatalogueFile:
    """One of torchvision's weight files."""

    arch: str
    sha256_prefix: str

    @property
    def name(self) -> str:
        return f"{self.arch}-{self.sha256_prefix}.pth"

    @property
    def url(self) -> str:
        return BASE_URL + self.name


CATALOGUE = {
    file.arch: file
    for file in (
        CatalogueFile("resnet18", "f37072fd"),
        CatalogueFile("resnet34", "b627a593"),
        CatalogueFile("resnet50", "0676ba61"),
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


def fetch(arch: str) -> Path:
    """Returns the catalogue's weight file for `arch`, from a cache or downloaded to `cache_dir()`.

    torch's own cache is searched too, but never written to. Every file is checked by its hash, and
    a wrong one is never overwritten or deleted.

    Raises:
        WeightsError: `arch` is not in the catalogue, a file's hash is wrong, the download fails or
            the cache folder cannot be written to.
    """
    if arch not in CATALOGUE:
        raise WeightsError(
            f"there are no weights for {arch!r}; set teacher.arch to one of "
            f"{', '.join(CATALOGUE)} or teacher.weights to a file"
        )
    file = CATALOGUE[arch]
    cached = cache_dir() / file.name
    if os.path.exists(cached):
        _check_hash(file, cached)
        return cached
    of_torch = _torch_cache_dir() / file.name
    try:
        if os.path.isfile(of_torch) and sha256_of(of_torch).startswith(file.sha256_prefix):
            return of_torch
    except WeightsError:
        pass  # unreadable: treated as missing
    _download(file, cached)
    return cached


def cache_dir() -> Path:
    """Returns `$RDVAR_CACHE/weights`, or `rdvar_jax/weights` in `$XDG_CACHE_HOME` or `~/.cache`."""
    return cache_folder() / "weights"


def _torch_cache_dir() -> Path:
    own = os.environ.get("TORCH_HOME")
    root = expanded(own) if own else user_cache_folder() / "torch"
    return root / "hub" / "checkpoints"


def sha256_of(path: Path) -> str:
    """Returns the sha256 of a file's content in hex.

    Raises:
        WeightsError: the file is missing, a folder, or cannot be opened.
    """
    try:
        if path.exists() and not path.is_file():
            raise WeightsError(f"{path} is not a file; set teacher.weights to a weight file")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise WeightsError(f"{path} does not exist; check teacher.weights") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WeightsError(f"{path} cannot be opened ({reason}); check its permissions") from error


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


def _check_hash(file: CatalogueFile, path: Path) -> None:
    found = sha256_of(path)
    if not found.startswith(file.sha256_prefix):
        raise WeightsError(
            f"{path} is damaged or another file: its sha256 should begin with "
            f"{file.sha256_prefix} but begins with {found[:8]}; move it away to download it again"
        )


def _download(file: CatalogueFile, target: Path) -> None:
    by_hand = (
        f"put {file.name} (sha256 {file.sha256_prefix}...) from {file.url} into {target.parent}, "
        f"or set teacher.weights to a file"
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target, shared=True) as part:
            part.touch()  # fails before the download if the folder is not writable
            try:
                _copy_from_url(file, part)
            except (OSError, http.client.HTTPException) as error:
                if isinstance(error, urllib.error.HTTPError):
                    error.close()  # it holds the connection
                # URLError wraps the reason; a broken connection or a full disk are raised directly.
                reason = getattr(error, "reason", None) or error or type(error).__name__
                reason = str(reason)
                if isinstance(error, OSError) and error.filename is None:
                    error.filename = str(target)  # for the sentence about a full disk
                raise WeightsError(
                    f"{file.name} could not be downloaded ({reason}); {by_hand}"
                ) from error
            found = sha256_of(part)
            if not found.startswith(file.sha256_prefix):
                raise WeightsError(
                    f"{file.url} sent something else: its sha256 should begin with "
                    f"{file.sha256_prefix} but begins with {found[:8]}; try again, or {by_hand}"
                )
    except OSError as error:
        raise WeightsError(
            f"{target.parent} cannot be written to ({error.strerror}); set RDVAR_CACHE to "
            f"another folder, or teacher.weights to a file"
        ) from error


def _copy_from_url(file: CatalogueFile, part: Path) -> None:
    with (
        urllib.request.urlopen(file.url, timeout=TIMEOUT_SECONDS) as response,
        part.open("wb") as out,
    ):
        total = response.length  # None if the server does not send it
        # disable=None: no bar unless the output is a terminal
        with tqdm(total=total, unit="B", unit_scale=True, desc=file.name, disable=None) as bar:
            while chunk := response.read(_CHUNK):
                out.write(chunk)
                bar.update(len(chunk))
        received = out.tell()
    if total is not None and received != total:
        raise ConnectionError(f"the connection broke after {received} of {total} bytes")
