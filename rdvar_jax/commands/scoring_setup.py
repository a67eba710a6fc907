"""What prediction and watching share: thresholds, colour scale, output folder, counts."""

import errno
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rdvar_jax.commands.image_writer import Outputs, Thresholds
from rdvar_jax.errors import CheckpointError, ConfigError, DataError
from rdvar_jax.report.prediction_files import DEFECTIVE
from rdvar_jax.runs.config import Config
from rdvar_jax.runs.threshold_file import read_threshold
from rdvar_jax.runs.workdir import Workdir
from rdvar_jax.training.checkpoint import SavedStep

logger = logging.getLogger("rdvar_jax")


@dataclass
class Counts:
    """What came of a call. `num_defective` is None where there was no threshold."""

    num_images: int = 0  # scored
    num_defective: int | None = None
    num_skipped: int = 0

    def add(self, verdict: str | None) -> None:
        """Counts one image with its verdict."""
        self.num_images += 1
        if verdict is not None:
            self.num_defective = (self.num_defective or 0) + (verdict == DEFECTIVE)


def complete_thresholds(
    given: Thresholds, config: Config, workdir: Workdir, checkpoint: str, saved: SavedStep
) -> Thresholds:
    """Fills in thresholds that were not given: for images the run's, for pixels that of images.

    An image's score is its map's maximum, so it is defective where one of its pixels is. Without
    any, a line says how to get one.

    Raises:
        CheckpointError: see `read_threshold`.
    """
    image = given.image
    if image is None:
        stored = read_threshold(config, workdir, checkpoint, saved)
        image = None if stored is None else float(stored["threshold"])
    if image is None:
        logger.info(
            "no verdicts: %s is not there; rdvar threshold makes it from good images, or give "
            "--threshold",
            workdir.threshold(checkpoint),
        )
    return Thresholds(image, image if given.pixel is None else given.pixel)


def check_thresholds(thresholds: Thresholds, wanted: Outputs, need_verdicts: bool) -> None:
    """Raises a ConfigError where something is asked for that needs a threshold."""
    for flag, is_asked, value in (
        ("--fail_on_defect", need_verdicts, thresholds.image),
        ("--save_masks", wanted.masks, thresholds.pixel),
    ):
        if is_asked and value is None:
            raise ConfigError(f"{flag} needs a threshold; call rdvar threshold, or give one.")


def find_scale(workdir: Workdir, checkpoint: str, saved: SavedStep) -> tuple[float, float] | None:
    """Reads the evaluation's colour scale; None, and a line in the log, if it was of another state.

    Raises:
        CheckpointError: the evaluation's results are damaged.
    """
    path = workdir.results(checkpoint)
    try:
        results = json.loads(path.read_text())
        if results["checkpoint_sha256"] == saved.sha256 and "color_scale" in results:
            low, high = map(float, results["color_scale"])
            return low, high
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} cannot be read, and the colour scale stands in it; run rdvar evaluate again, "
            "or remove the file."
        ) from error
    logger.info(
        "%s holds no colour scale of this state; rdvar evaluate makes one for all calls", path
    )
    return None


def check_output(output: Path, inputs: Sequence[Path], may_hold_files: bool = False) -> None:
    """Raises a DataError where the output is no folder, not empty, or a part of the input."""
    if output.exists() and not output.is_dir():
        raise DataError(f"--output {output} is a file; give a folder.")
    if not may_hold_files and output.is_dir() and any(output.iterdir()):
        raise DataError(f"--output {output} is not empty; give a new or an empty folder.")
    for path in inputs:
        if path.is_dir() and output.resolve().is_relative_to(path.resolve()):
            raise DataError(
                f"--output {output} lies in the input {path}, so the next call would take heat "
                "maps for images; give a folder outside of it."
            )


def make_output(output: Path) -> None:
    """Makes the folder if missing; raises a DataError where it cannot be written."""
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
        if not os.access(output, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@contextmanager
def writing(output: Path) -> Iterator[None]:
    """Turns an error of the system about the output into one sentence for the user."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"--output {output} cannot be written ({error.strerror or error}); give a folder "
            "with room that can be written."
        ) from error
