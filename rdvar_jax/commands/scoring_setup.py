"""Thresholds, colour scale, output folder and counts, shared by prediction and watching."""

import fnmatch
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rdvar_jax.commands.image_writer import FOLDERS, Outputs, Thresholds
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.set_remarks import SetRemarks
from rdvar_jax.data.sets.inputs import InputImage, literal_folder
from rdvar_jax.errors import ConfigError, DataError
from rdvar_jax.files.sealed import DamagedFile, read_sealed, refuse_unsealed
from rdvar_jax.report.prediction_files import DEFECTIVE
from rdvar_jax.runs.config import Config
from rdvar_jax.runs.ignore_file import read_ignore
from rdvar_jax.runs.result_files import RESULTS
from rdvar_jax.runs.threshold_file import (
    needs_pixel_threshold,
    read_threshold,
    score_settings,
)
from rdvar_jax.runs.workdir import Workdir
from rdvar_jax.scoring.pooling import MAX
from rdvar_jax.training.checkpoint import SavedStep

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


def remarks_on(images: str, geometry: Geometry, saved: SavedStep) -> SetRemarks:
    """Makes what collects remarks on images to score, compared with those of training."""
    return SetRemarks(images, geometry, saved.provenance.get("aspects"))


def say(remarks: SetRemarks) -> None:
    """Warns of what has not been said yet."""
    for sentence in remarks.new():
        logger.warning("%s", sentence)


def complete_thresholds(
    given: Thresholds, config: Config, workdir: Workdir, checkpoint: str, saved: SavedStep
) -> Thresholds:
    """Fills in missing thresholds with the run's; without any, the log says how to get one.

    If an image's score is its map's maximum, its threshold is that of pixels too: it is defective
    if one of its pixels is. Else pixels have a threshold of their own, which `rdvar threshold`
    chooses along with it.

    Raises:
        CheckpointError: see `read_threshold`.
    """
    is_max = config.score.pooling == MAX
    image, pixel = given.image, given.image if is_max else None
    if image is None:
        stored = read_threshold(config, workdir, checkpoint, saved)
        if stored is not None:
            image = float(stored["threshold"])
            # Earlier versions, whose scores are all maxima, did not store one.
            pixel = float(stored.get("pixel_threshold", image))
    elif pixel is None and given.pixel is None:
        logger.info(
            "no regions: with score.pooling=%s a threshold of images is none of pixels; give "
            "--pixel_threshold too",
            config.score.pooling,
        )
    if image is None:
        logger.info(
            "no verdicts: %s does not exist; rdvar threshold makes it from good images, or give "
            "--threshold",
            workdir.threshold(checkpoint),
        )
    return replace(
        given,
        image=image,
        pixel=pixel if given.pixel is None else given.pixel,
        ignore=read_ignore(config.score.ignore),
        min_area=config.score.min_area,
    )


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


def origin(config: Config, saved: SavedStep) -> dict[str, Any]:
    """Returns what scores depend on: the state and the settings of `score`."""
    return {
        "step": saved.step,
        "checkpoint_sha256": saved.sha256,
        "score": score_settings(config),
    }


def find_scale(workdir: Workdir, checkpoint: str, saved: SavedStep) -> tuple[float, float] | None:
    """Reads the evaluation's colour scale; None, with a log line, if it is of another state.

    Raises:
        CheckpointError: the evaluation's results are damaged.
    """
    path = workdir.results(checkpoint)
    way_out = "it holds the colour scale: run rdvar evaluate again, or remove the file."
    try:
        results = read_sealed(path, RESULTS, way_out)
        of_this_state = results.value["checkpoint_sha256"] == saved.sha256
        if of_this_state and "color_scale" in results.value:
            if saved.is_sealed and not results.is_sealed:
                refuse_unsealed(path, way_out)
            low, high = map(float, results.value["color_scale"])
            return low, high
    except FileNotFoundError:
        pass
    except (ValueError, TypeError) as error:
        raise DamagedFile(path, error, way_out) from error
    logger.info(
        "%s has no colour scale of this state; rdvar evaluate makes one for all calls", path
    )
    return None


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
