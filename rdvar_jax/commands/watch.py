"""`rdvar predict --watch`: scores images as they are dropped into a folder, until stopped."""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rdvar_jax.commands.predicting.image_writer import PICTURES, ImageWriter, Outputs
from rdvar_jax.commands.predicting.output_part import locked_output, name_key, refuse_filled
from rdvar_jax.commands.predicting.prediction_checks import (
    Counts,
    check_output,
    check_thresholds,
    say,
    writing,
)
from rdvar_jax.commands.predicting.scoring_setup import (
    complete_thresholds,
    find_scale,
    origin,
    remarks_on,
)
from rdvar_jax.data.loading.threads import num_usable_cpus
from rdvar_jax.data.sets.drop_folder import DropFolder
from rdvar_jax.data.sets.inputs import InputImage, decode_batches, result_problem
from rdvar_jax.errors import CheckpointError, ConfigError, DataError
from rdvar_jax.files.replacing import temporary_of
from rdvar_jax.files.sealed import Entries, read_sealed, write_sealed
from rdvar_jax.report.prediction_files import ScoreLines, add_skipped, continued_scores
from rdvar_jax.runs.config import Config
from rdvar_jax.runs.recipe import Recipe
from rdvar_jax.runs.run import Run
from rdvar_jax.runs.saved_run import TrainedRun
from rdvar_jax.runs.workdir import Workdir
from rdvar_jax.scoring.finite import not_finite
from rdvar_jax.serving.judgement import NO_THRESHOLDS, Thresholds
from rdvar_jax.training.stop import StopRequest

logger = logging.getLogger("rdvar_jax")

MARK = "watch.json"  # in the output: the state that made its rows
MARK_ENTRIES = Entries({"step": int, "checkpoint_sha256": str, "score": dict}, old=frozenset())
LONGEST_SLEEP = 0.1  # seconds between two checks for a signal


def watch(
    config: Config,
    workdir: Workdir,
    folder: Path,
    output: Path,
    checkpoint: str = "latest",
    *,
    interval: float = 1.0,
    thresholds: Thresholds = NO_THRESHOLDS,
    wanted: Outputs = PICTURES,
    scale: tuple[float, float] | None = None,
    need_verdicts: bool = False,
) -> Counts:
    """Scores new images in a folder and appends to the output, until SIGINT or SIGTERM.

    An image's row is written last, after its other files. Images that cannot be read are listed in
    `skipped.csv`, and tried again when their files change. The same call resumes after a stop or a
    kill: images with a row are not scored again.

    Args:
        config, workdir, checkpoint, thresholds, wanted, need_verdicts: as in `predict`.
        folder: searched at any depth.
        output: new, empty, or of an earlier call with the same state and settings.
        interval: seconds between two scans. A file is scored once it is unchanged between two.
        scale: the colour scale; None for that of the run's evaluation, which must then exist.

    Returns:
        The counts of this call.

    Raises:
        UserError: the run, the folder or the output cannot be used. Files written so far remain.
    """
    thresholds.check()
    if not folder.is_dir():
        raise DataError(f"--watch needs a folder, and {folder} is not one; give an existing one.")
    if not interval > 0:
        raise ConfigError(f"--interval {interval:g} must be over 0 seconds.")
    recipe = Recipe.for_prediction(config)
    check_output(output, [folder])
    with StopRequest() as stop, ExitStack() as stack:
        with writing(output):
            stack.enter_context(locked_output(output))
        continues = (output / MARK).exists()
        if not continues:
            refuse_filled(output, (temporary_of(output / MARK).name,))
        trained = Run(recipe, workdir).load_scorer(checkpoint)
        thresholds = complete_thresholds(thresholds, config, workdir, checkpoint, trained.saved)
        check_thresholds(thresholds, wanted, need_verdicts)
        if wanted.colored and scale is None:
            scale = find_scale(workdir, checkpoint, trained.saved)
            if scale is None:
                raise ConfigError(
                    "the colour scale must be known before the first image; run rdvar evaluate, "
                    "give --color_scale LOW,HIGH, or --noheat_maps --nooverlays."
                )
        mark = origin(config, trained.saved)
        if continues:
            _refuse_other_state(output / MARK, mark)
        with writing(output):
            if not continues:
                write_sealed(output / MARK, mark)
            writer = ImageWriter(output, recipe.geometry, thresholds, wanted, scale)
            watcher = _Watcher(config.score.batch_size, trained, writer, name_key(output))
            return watcher.run(folder, interval, stop)


class _Watcher:
    def __init__(
        self,
        batch_size: int,
        trained: TrainedRun,
        writer: ImageWriter,
        name_key: Callable[[str], str],
    ):
        self._batch_size, self._trained, self._writer = batch_size, trained, writer
        self._key = name_key
        self._geometry = writer.geometry
        self._remarks = remarks_on("images", writer.geometry, trained.saved)
        self._counts = Counts()
        self._names: dict[str, str] = {}  # image by the key of the name of its result files

    def run(self, folder: Path, interval: float, stop: StopRequest) -> Counts:
        # Compiles now, so that the first image does not wait for it.
        size = self._geometry.height, self._geometry.width
        self._trained.score_inputs(np.zeros((1, *size, 3), np.uint8))
        with (
            continued_scores(self._writer.folder) as (lines, done),
            ThreadPoolExecutor(num_usable_cpus()) as executor,
        ):
            for name in done:  # either may be that of its files
                for result in (InputImage(folder / name, name).result_name(""), name):
                    self._names.setdefault(self._key(result), name)
            drop = DropFolder(folder, done, self._writer.folder)
            logger.info(
                "watching %s every %g s, %d images already scored; Ctrl-C stops",
                *(folder, interval, len(done)),
            )
            while stop.signal_number is None:
                images = drop.poll()
                for start in range(0, len(images), self._batch_size):
                    batch = images[start : start + self._batch_size]
                    self._take(batch, drop, lines, executor)
                    if stop.signal_number is not None:
                        break
                _wait(interval, stop)
        return self._counts

    def _take(
        self,
        images: Sequence[InputImage],
        drop: DropFolder,
        lines: ScoreLines,
        executor: ThreadPoolExecutor,
    ) -> None:
        """Scores and writes a batch."""

        def skip(image: InputImage, reason: str) -> None:
            logger.warning("skipped: %s", reason)
            add_skipped(self._writer.folder, image.name, reason)
            drop.give_again_if_changed(image)
            self._counts.num_skipped += 1

        mine = []
        for image in map(self._named, images):
            other = self._names[self._key(image.result_name(""))]
            if problem := result_problem(image):
                skip(image, problem)
            elif other == image.name:
                mine.append(image)
            else:
                skip(image, f"{image.path} would overwrite the results of {other}; rename it.")
        for batch, pixels in decode_batches(
            mine, self._geometry, self._batch_size, skip, self._remarks
        ):
            say(self._remarks)
            maps, scores = self._trained.score(pixels)
            jobs = [
                executor.submit(self._writer.write, *each)
                for each in zip(batch, pixels, maps, scores, strict=True)
                if np.isfinite(each[-1])
            ]
            waiting = iter(jobs)
            for image, score in zip(batch, scores, strict=True):
                if not np.isfinite(score):
                    skip(image, not_finite(image.name, float(score)))
                    continue
                try:
                    prediction = next(waiting).result()
                except DataError as error:  # moved since it was scored
                    skip(image, str(error))
                    continue
                lines.add(prediction)
                self._counts.add(prediction.verdict)
                logger.info("%s: %s", image.name, prediction.verdict or prediction.score)

    def _named(self, image: InputImage) -> InputImage:
        """Keeps the suffix where an earlier image has the name of the result."""
        for keep_suffix in (False, True):
            image = replace(image, keep_suffix=keep_suffix)
            key = self._key(image.result_name(""))
            if self._names.setdefault(key, image.name) == image.name:
                break
        return image


def _refuse_other_state(path: Path, now: dict[str, Any]) -> None:
    made_with = read_sealed(path, MARK_ENTRIES, "restore it, or give another --output.").value
    if made_with != now:
        raise CheckpointError(
            f"{path.parent} was made with another state or other settings of score ({made_with}, "
            f"now {now}), and the scores are not comparable; give another --output."
        )


def _wait(interval: float, stop: StopRequest) -> None:
    end = time.monotonic() + interval
    while stop.signal_number is None and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, LONGEST_SLEEP))
