"""Downloads a weight file whose sha256 is known."""

import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from rdvar_jax.errors import WeightsError
from rdvar_jax.files.replacing import replacing
from rdvar_jax.weights.cache_file import cache_lock
from rdvar_jax.weights.file_hash import sha256_of

TIMEOUT_SECONDS = 30.0  # without data, not in total
_CHUNK = 2**20


def download(url: str, target: Path, sha256_prefix: str, by_hand: str) -> None:
    """Downloads a file, unless another process has done so meanwhile.

    A file that broke off or has another sha256 never gets its name.

    Args:
        url: of the file.
        target: its path in the cache.
        sha256_prefix: first hex digits of its sha256.
        by_hand: end of the sentence about a failure: what to do without a network.

    Raises:
        WeightsError: the download fails, or the cache cannot be written to.
    """
    try:
        with cache_lock(target):
            if target.exists():  # another process has downloaded it
                return
            _download(url, target, sha256_prefix, by_hand)
    except OSError as error:
        raise WeightsError(
            f"{target.parent} cannot be written to ({error.strerror}); set RDVAR_CACHE to "
            f"another folder, or teacher.weights to a file"
        ) from error


def _download(url: str, target: Path, sha256_prefix: str, by_hand: str) -> None:
    # A temporary name of its own, for file systems without locks.
    with replacing(target, shared=True) as part:
        part.touch()  # fails before the download if the folder is not writable
        try:
            _copy_from_url(url, part)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # it holds the connection
            # URLError wraps the reason; a broken connection or a full disk are raised directly.
            reason = getattr(error, "reason", None) or error or type(error).__name__
            reason = str(reason)
            if isinstance(error, OSError) and error.filename is None:
                error.filename = str(target)  # for the sentence about a full disk
            raise WeightsError(
                f"{target.name} could not be downloaded ({reason}); {by_hand}"
            ) from error
        found = sha256_of(part)
        if not found.startswith(sha256_prefix):
            raise WeightsError(
                f"{url} sent something else: its sha256 should begin with {sha256_prefix} but "
                f"begins with {found[:8]}; try again, or {by_hand}"
            )


def _copy_from_url(url: str, part: Path) -> None:
    with (
        urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response,
        part.open("wb") as out,
    ):
        total = response.length  # None if the server does not send it
        # disable=None: no bar unless the output is a terminal
        name = os.path.basename(url)
        with tqdm(total=total, unit="B", unit_scale=True, desc=name, disable=None) as bar:
            while chunk := response.read(_CHUNK):
                out.write(chunk)
                bar.update(len(chunk))
        received = out.tell()
    if total is not None and received != total:
        raise ConnectionError(f"the connection broke after {received} of {total} bytes")
