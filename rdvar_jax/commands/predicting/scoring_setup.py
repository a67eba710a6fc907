"""Thresholds and colour scale of a run, shared by prediction and watching."""

import logging
from dataclasses import replace
from typing import Any

from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.set_remarks import SetRemarks
from rdvar_jax.files.sealed import DamagedFile, read_sealed, refuse_unsealed
from rdvar_jax.runs.config import Config
from rdvar_jax.runs.ignore_file import read_ignore
from rdvar_jax.runs.result_files import RESULTS
from rdvar_jax.runs.threshold_file import read_threshold, score_settings
from rdvar_jax.runs.workdir import Workdir
from rdvar_jax.scoring.pooling import MAX
from rdvar_jax.serving.judgement import Thresholds
from rdvar_jax.training.manifest import SavedStep

logger = logging.getLogger("rdvar_jax")


def remarks_on(images: str, geometry: Geometry, saved: SavedStep) -> SetRemarks:
    """Makes what collects remarks on images to score, compared with those of training."""
    return SetRemarks(images, geometry, saved.provenance.get("aspects"))


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
