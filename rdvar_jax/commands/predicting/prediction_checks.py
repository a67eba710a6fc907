"""Checks of a prediction's flags and output, and counts, for runs and bundles alike."""

import fnmatch
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rdvar_jax.commands.predicting.image_writer import FOLDERS, Outputs
from rdvar_jax.data.pixels.set_remarks import SetRemarks
from rdvar_jax.data.sets.inputs import InputImage, literal_folder
from rdvar_jax.errors import ConfigError, DataError
from rdvar_jax.report.prediction_files import DEFECTIVE
from rdvar_jax.scoring.defects import needs_pixel_threshold
from rdvar_jax.serving.judgement import Thresholds

logger = logging.getLogger("rdvar_jax")


@dataclass
class Counts:
    """Numbers of images of a call. `num_defective` is None without a threshold."""

    num_images: int = 0  # scored
    num_defective: int | None = None
    num_skipped: int = 0

    def add(self, verdict: str | None) -> None:
        """Counts one image with its verdict."""
        self.num_images += 1
        if verdict is not None:
            self.num_defective = (self.num_defective or 0) + (verdict == DEFECTIVE)


def say(remarks: SetRemarks) -> None:
    """Warns of what has not been said yet."""
    for sentence in remarks.new():
        logger.warning("%s", sentence)


def check_thresholds(thresholds: Thresholds, wanted: Outputs, need_verdicts: bool) -> None:
    """Raises a ConfigError if a requested output needs a missing threshold."""
    for flag, is_asked, value in (
        ("--fail_on_defect", need_verdicts, thresholds.image),
        ("--save_masks", wanted.masks, thresholds.pixel),
    ):
        if is_asked and value is None:
            raise ConfigError(f"{flag} needs a threshold; run rdvar threshold, or give one.")
    if thresholds.min_area > 0 and thresholds.pixel is None:
        raise ConfigError(needs_pixel_threshold(thresholds.min_area))


def check_output(output: Path, inputs: Sequence[Path], images: Sequence[InputImage] = ()) -> None:
    """Raises a DataError if the output is not a folder, or an input and it are inside each other.

    Links are followed, so that no result can replace an image, and none is taken for one later.
    """
    if output.exists() and not output.is_dir():
        raise DataError(f"--output {output} is a file; give a folder.")
    for path in inputs:
        if _reaches(path, output):
            raise DataError(
                f"--output {output} is inside the input {path}, so the next call would take heat "
                "maps for images; give a folder outside of it."
            )
        if path.is_dir() and _is_inside(path, output):
            raise DataError(
                f"The input {path} is inside --output {output}, so results could replace images; "
                "give an output that holds none."
            )
    folders = {image.path.parent for image in images}
    if any(_is_inside(folder, output) for folder in folders):
        raise DataError(
            f"Images of the input are inside --output {output}, so results could replace them; "
            "give an output that holds none."
        )


def _reaches(path: Path, output: Path) -> bool:
    """Returns whether an input, a folder or a pattern, would find images in the output."""
    if path.is_dir():
        return _is_inside(output, path)
    if path.exists():
        return False
    base, rest = literal_folder(path)
    real, base = Path(os.path.realpath(output)), Path(os.path.realpath(base))
    if not real.is_relative_to(base):
        return False
    below = real.relative_to(base).parts
    return any(_matches_below((*below, kind), rest) for kind in FOLDERS)


def _matches_below(folders: Sequence[str], parts: Sequence[str]) -> bool:
    """Returns whether a pattern's parts match a file at any depth below these folders."""
    if not parts:
        return False
    first, *others = parts
    if first == "**":
        return True
    if not folders:
        return True
    return fnmatch.fnmatch(folders[0], first) and _matches_below(folders[1:], others)


def _is_inside(path: Path, folder: Path) -> bool:
    """Returns whether a path is a folder or in it; by the files themselves, not by their names."""
    real = Path(os.path.realpath(path))
    if not folder.exists():
        return real.is_relative_to(os.path.realpath(folder))
    return any(each.exists() and each.samefile(folder) for each in (real, *real.parents))


@contextmanager
def writing(output: Path) -> Iterator[None]:
    """Turns an OSError about the output into one sentence for the user."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"--output {output} cannot be written ({error.strerror or error}); give a writable "
            "folder with enough space."
        ) from error
