"""`score.ignore`: the picture of pixels that never count, and its copy in a run's folder.

In a loaded config the setting is the path of the copy, and empty without one. `config.json` does
not name it.
"""

from functools import lru_cache
from pathlib import Path

from rdvar_jax.data.pixels.aspect import aspect_change
from rdvar_jax.data.pixels.ignore_mask import IgnoreMask
from rdvar_jax.data.pixels.reading import Reading
from rdvar_jax.data.pixels.set_remarks import Aspects
from rdvar_jax.errors import ConfigError
from rdvar_jax.files.replacing import write_bytes
from rdvar_jax.runs.config import NO_IGNORE
from rdvar_jax.runs.workdir import Workdir

MOST_ASPECT_CHANGE = 0.01


def read_ignore(setting: str) -> IgnoreMask | None:
    """Reads the picture of `score.ignore`, once for each content; None without one.

    Raises:
        DataError: it cannot be read.
        ConfigError: it marks every pixel, or is missing.
    """
    if setting in ("", NO_IGNORE):
        return None
    path = Path(setting)
    try:
        stat = path.stat()
    except OSError as error:
        raise ConfigError(f"score.ignore={path} cannot be read ({error.strerror}).") from error
    return _read(path, stat.st_ino, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4)
def _read(path: Path, *_: int) -> IgnoreMask:
    mask = IgnoreMask.read(path, Reading())
    if mask.pixels.all():
        raise nothing_left(path)
    return mask


def nothing_left(path: Path | str) -> ConfigError:
    """Returns the error of a picture that leaves no pixel."""
    return ConfigError(
        f"score.ignore={path} leaves no pixel that counts: all but black is ignored; paint black "
        "what counts."
    )


def check_aspect(mask: IgnoreMask, setting: str, aspects: Aspects | None) -> None:
    """Checks that a picture shows what the images show.

    Args:
        mask: of `read_ignore`.
        setting: its path.
        aspects: of the training images, lowest and highest; None if unknown.

    Raises:
        ConfigError: its width by height is not that of an image.
    """
    if aspects is None:
        return
    aspect = mask.width / mask.height
    nearest = min(max(aspect, aspects[0]), aspects[1])
    if aspect_change(aspect, nearest) > MOST_ASPECT_CHANGE:
        low, high = (f"{one:.3g}" for one in aspects)
        trained = low if low == high else f"{low} to {high}"
        raise ConfigError(
            f"score.ignore={setting} has {mask.width}x{mask.height} pixels, width by height "
            f"{aspect:.3g}, but the training images have {trained}; mark the pixels in a picture "
            "as large as an image."
        )


def keep_ignore(workdir: Workdir, mask: IgnoreMask | None) -> None:
    """Makes `ignore.png` what this mask says; without one, removes it.

    Raises:
        OSError: the file cannot be written.
    """
    if mask is None:
        workdir.ignore.unlink(missing_ok=True)
    elif not workdir.ignore.exists() or read_ignore(str(workdir.ignore)) != mask:
        write_bytes(workdir.ignore, mask.png())
