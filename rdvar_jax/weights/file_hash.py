"""Sha256 of a weight file."""

import hashlib
from pathlib import Path

from rdvar_jax.errors import WeightsError


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
