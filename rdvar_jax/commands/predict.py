"""`rdvar predict`: scores, verdicts and pictures of any images."""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from tqdm import tqdm

from rdvar_jax.commands.image_writer import (
    NO_THRESHOLDS,
    PICTURES,
    ImageWriter,
    Outputs,
    Thresholds,
)
from rdvar_jax.commands.output_part import locked_output, name_key, whole_or_nothing
from rdvar_jax.commands.scoring_setup import (
    Counts,
    check_output,
    check_thresholds,
    complete_thresholds,
    find_scale,
    origin,
    remarks_on,
    say,
    writing,
)
from rdvar_jax.data.loading.threads import num_usable_cpus
from rdvar_jax.data.sets.inputs import InputImage, check_result_names, decode_batches, find_inputs
from rdvar_jax.errors import DataError
from rdvar_jax.files.sealed import write_sealed
from rdvar_jax.report.prediction_files import (
    SKIPPED,
    add_skipped,
    new_scores,
)
from rdvar_jax.report.scale import RunningScale
from rdvar_jax.runs.config import Config
from rdvar_jax.runs.recipe import Recipe
from rdvar_jax.runs.run import Run
from rdvar_jax.runs.saved_run import TrainedRun
from rdvar_jax.runs.workdir import Workdir
from rdvar_jax.scoring.finite import refuse_not_finite

logger = logging.getLogger("rdvar_jax")

ORIGIN = "prediction.json"  # in the output: the state and the settings that made it

# The images of a batch with their pixels [B, H, W, 3], maps [B, H, W] and scores [B].
Scored = tuple[Sequence[InputImage], np.ndarray, np.ndarray, np.ndarray]


def predict(
    config: Config,
    workdir: Workdir,
    inputs: Sequence[Path],
    output: Path,
    checkpoint: str = "latest",
    *,
    thresholds: Thresholds = NO_THRESHOLDS,
    wanted: Outputs = PICTURES,
    scale: tuple[float, float] | None = None,
    need_verdicts: bool = False,
    on_error: str = "fail",
) -> Counts:
    """Scores images with a saved state, as `evaluate` does, and writes the results.

    Images are read, scored and written batch by batch; only their paths stay in memory. The output
    is all or nothing: after an error, Ctrl-C or SIGTERM everything written is removed again, and
    after a kill by the next call.

    Args:
        config: the run's, from `load_config`. Of its `data` section only `image_size` and
          `geometry` are needed.
        workdir: the run's folder.
        inputs: image files, and folders that are searched at any depth.
        output: a folder that is new, empty, or holds a part that a killed call left. It gets
          `scores.csv` and `scores.jsonl`, one folder for each kind of file, laid out like the
          inputs, and `prediction.json`, which names the state.
        checkpoint: "latest" or "best".
        thresholds: explicit thresholds; see `complete_thresholds` for the others.
        wanted: files to write for each image.
        scale: the raw map values of no heat and of full heat. None takes those of the run's
          evaluation, or else of all maps of this call, which are then computed twice.
        need_verdicts: refuse to score without a threshold.
        on_error: "fail" ends at the first image that cannot be read. "skip" lists such images with
          the reason in `skipped.csv`, and fails only if no image is left.

    Returns:
        The numbers of images scored, defective and skipped.

    Raises:
        UserError: the run, an input or the output cannot be used.
    """
    thresholds.check()
    recipe = Recipe.for_prediction(config)
    images = find_inputs(inputs)
    check_result_names(images)
    check_output(output, inputs, images)
    with ExitStack() as stack:
        with writing(output):
            stack.enter_context(locked_output(output))
            part = stack.enter_context(whole_or_nothing(output))
        check_result_names(images, name_key(output))
        trained = Run(recipe, workdir).load_scorer(checkpoint)
        thresholds = complete_thresholds(thresholds, config, workdir, checkpoint, trained.saved)
        check_thresholds(thresholds, wanted, need_verdicts)
        geometry, skipped = recipe.geometry, dict[InputImage, str]()
        remarks = remarks_on("images", geometry, trained.saved)

        def scored(description: str) -> Iterator[Scored]:
            def skip(image: InputImage, reason: str) -> None:
                skipped[image] = reason
                bar.update()

            # disable=None is tqdm's "only on a terminal".
            with tqdm(total=len(images), desc=description, unit="img", disable=None) as bar:
                batch_size = config.score.batch_size
                may_skip = skip if on_error == "skip" else None
                for batch, pixels in decode_batches(
                    images, geometry, batch_size, may_skip, remarks
                ):
                    maps, scores = trained.score(pixels)
                    refuse_not_finite([image.name for image in batch], scores)
                    yield batch, pixels, maps, scores
                    bar.update(len(batch))
            if len(skipped) == len(images):
                raise DataError(f"No image can be read; the first: {skipped[images[0]]}")

        if wanted.colored and scale is None:
            scale = find_scale(workdir, checkpoint, trained.saved) or _count_scale(scored, trained)
        with writing(output):
            writer = ImageWriter(output, geometry, thresholds, wanted, scale, part.note)
            counts = _write(writer, scored("predicting"))
            for image in skipped:
                add_skipped(output, image.name, skipped[image])
            about = origin(config, trained.saved)
            limits = {
                "image": thresholds.image,
                "pixel": thresholds.pixel,
                "min_area": thresholds.min_area,
            }
            part.note(output / ORIGIN)
            write_sealed(output / ORIGIN, {**about, "thresholds": limits, "color_scale": scale})
    say(remarks)
    if skipped:
        counts.num_skipped = len(skipped)
        logger.warning(
            "%d of %d images cannot be read and were skipped; %s has the reasons",
            len(skipped),
            len(images),
            output / SKIPPED,
        )
    return counts


def _write(writer: ImageWriter, batches: Iterator[Scored]) -> Counts:
    counts = Counts()
    # Threads, because drawing and compressing a picture takes longer than scoring it on a GPU. No
    # more threads than CPUs: each holds an image at its own size.
    with new_scores(writer.folder) as lines, ThreadPoolExecutor(num_usable_cpus()) as executor:
        for batch, pixels, maps, scores in batches:
            for prediction in executor.map(writer.write, batch, pixels, maps, scores):
                lines.add(prediction)
                counts.add(prediction.verdict)
    return counts


def _count_scale(
    scored: Callable[[str], Iterator[Scored]], trained: TrainedRun
) -> tuple[float, float]:
    """Computes the colour scale from the images themselves."""
    logger.info("the colour scale comes from the images, which are scored twice for that")
    running = RunningScale()
    for _, _, maps, _ in scored("colour scale"):
        running.add(trained.counted(maps))
    return running.scale()
