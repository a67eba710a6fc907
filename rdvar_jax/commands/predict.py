"""`rdvar predict`: from a trained run and any images to scores, verdicts and pictures."""

import errno
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from rdvar_jax.commands.image_writer import (
    FOLDERS,
    NO_THRESHOLDS,
    PICTURES,
    ImageWriter,
    Outputs,
    Thresholds,
)
from rdvar_jax.commands.threshold import read_threshold
from rdvar_jax.data.sets.inputs import InputImage, decode_batches, find_inputs
from rdvar_jax.errors import CheckpointError, ConfigError, DataError
from rdvar_jax.report.prediction_files import DEFECTIVE, SKIPPED, add_skipped, new_scores
from rdvar_jax.report.scale import RunningScale
from rdvar_jax.runs.config import Config
from rdvar_jax.runs.recipe import Recipe
from rdvar_jax.runs.run import Run, TrainedRun
from rdvar_jax.runs.workdir import Workdir

logger = logging.getLogger("rdvar_jax")

# The images of a batch with their pixels [B, H, W, 3], maps [B, H, W] and scores [B].
Scored = tuple[Sequence[InputImage], np.ndarray, np.ndarray, np.ndarray]


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


def predict(
    config: Config,
    workdir: Workdir,
    inputs: Sequence[Path],
    output: Path,
    which: str = "latest",
    *,
    thresholds: Thresholds = NO_THRESHOLDS,
    wanted: Outputs = PICTURES,
    scale: tuple[float, float] | None = None,
    need_verdicts: bool = False,
    on_error: str = "fail",
) -> Counts:
    """Scores images with a saved state, as `evaluate` does, and writes what it finds.

    Images are read, scored and written batch by batch; only their paths are kept. The output is
    whole or not there: after an error or Ctrl-C everything written is removed again.

    Args:
        config: the run's own, as `load_config` gives it. Its `data` section is needed for
          `image_size` and `geometry` only.
        workdir: the run's folder.
        inputs: image files, and folders that are searched at any depth.
        output: a folder that is empty or not there. It gets `scores.csv` and `scores.jsonl`, and
          folders laid out as the inputs are for the files that are wanted.
        which: "latest" or "best".
        thresholds: those given; see `complete_thresholds` for the others.
        wanted: which files each image gets.
        scale: the raw map values of no heat and of full heat. None takes those of the run's
          evaluation, else of all maps of this call, which are then computed twice.
        need_verdicts: refuse to score without a threshold.
        on_error: "fail" ends at the first image that cannot be read. "skip" lists such images with
          the reason in `skipped.csv`, and ends only where no image is left.

    Returns:
        How many images were scored, how many of them are defective, and how many left out.

    Raises:
        UserError: the run, an input or the output cannot be used.
    """
    thresholds.check()
    recipe = Recipe.for_prediction(config)
    images = find_inputs(inputs)
    check_output(output, inputs)
    with _whole_or_nothing(output):
        trained = Run(recipe, workdir).load_scorer(which)
        thresholds = complete_thresholds(thresholds, config, workdir, which, trained)
        check_thresholds(thresholds, wanted, need_verdicts)
        geometry, skipped = recipe.geometry, dict[InputImage, str]()

        def scored(description: str) -> Iterator[Scored]:
            def skip(image: InputImage, reason: str) -> None:
                skipped[image] = reason
                bar.update()

            # disable=None is tqdm's "only on a terminal".
            with tqdm(total=len(images), desc=description, unit="img", disable=None) as bar:
                for batch, pixels in decode_batches(
                    images, geometry, config.score.batch_size, skip if on_error == "skip" else None
                ):
                    yield batch, pixels, *trained.score(pixels)
                    bar.update(len(batch))
            if len(skipped) == len(images):
                raise DataError(f"No image can be read; the first: {skipped[images[0]]}")

        if wanted.colored and scale is None:
            scale = find_scale(workdir, which, trained) or _count_scale(scored)
        with writing(output):
            writer = ImageWriter(output, geometry, thresholds, wanted, scale)
            counts = _write(writer, scored("predicting"))
            for image in skipped:
                add_skipped(output, image.name, skipped[image])
    if skipped:
        counts.num_skipped = len(skipped)
        logger.warning(
            "%d of %d images cannot be read and were left out; %s says why",
            len(skipped),
            len(images),
            output / SKIPPED,
        )
    return counts


def complete_thresholds(
    given: Thresholds, config: Config, workdir: Workdir, which: str, trained: TrainedRun
) -> Thresholds:
    """Thresholds that were not given: of images that of the workdir, of pixels that of images.

    An image's score is its map's maximum, so it is defective where one of its pixels is. Without
    any, a line says how to get one.

    Raises:
        CheckpointError: see `read_threshold`.
    """
    image = given.image
    if image is None:
        stored = read_threshold(config, workdir, which, trained)
        image = None if stored is None else float(stored["threshold"])
    if image is None:
        logger.info(
            "no verdicts: %s is not there; rdvar threshold makes it from good images, or give "
            "--threshold",
            workdir.threshold(which),
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


def _write(writer: ImageWriter, batches: Iterator[Scored]) -> Counts:
    counts = Counts()
    # Threads, because drawing and compressing a picture takes longer than a GPU takes to score it.
    # No more than there are CPUs: each holds an image at its own size.
    with new_scores(writer.folder) as lines, ThreadPoolExecutor(os.cpu_count()) as executor:
        for batch, pixels, maps, scores in batches:
            for prediction in executor.map(writer.write, batch, pixels, maps, scores):
                lines.add(prediction)
                counts.add(prediction.verdict)
    return counts


def find_scale(workdir: Workdir, which: str, trained: TrainedRun) -> tuple[float, float] | None:
    """The evaluation's colour scale, if it was of this state; else a line says that there is none.

    Raises:
        CheckpointError: the evaluation's results are damaged.
    """
    path = workdir.results(which)
    try:
        results = json.loads(path.read_text())
        if results["checkpoint_sha256"] == trained.saved.sha256 and "color_scale" in results:
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


def _count_scale(scored: Callable[[str], Iterator[Scored]]) -> tuple[float, float]:
    """The colour scale of the images themselves."""
    logger.info("the colour scale is taken from the images, which are scored twice for that")
    running = RunningScale()
    for _, _, maps, _ in scored("colour scale"):
        running.add(maps)
    return running.scale()


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
def _whole_or_nothing(output: Path) -> Iterator[None]:
    """Makes the folder, and takes away again what came into it when an error goes through."""
    made = not output.exists()
    make_output(output)
    try:
        yield
    except BaseException:
        for folder in FOLDERS:  # the files of scores look after themselves
            shutil.rmtree(output / folder, ignore_errors=True)
        (output / SKIPPED).unlink(missing_ok=True)
        if made:
            output.rmdir()
        raise


@contextmanager
def writing(output: Path) -> Iterator[None]:
    """What the system says of the output as one sentence for the user."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"--output {output} cannot be written ({error.strerror or error}); give a folder "
            "with room that can be written."
        ) from error
