"""`rdvar predict`: from a trained run and any images to scores, heat maps and raw maps."""

import errno
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from rdvar_jax.checks.commands import check_prediction
from rdvar_jax.config import Config
from rdvar_jax.data.inputs import InputImage, decode_batches, find_inputs
from rdvar_jax.errors import CheckpointError, DataError
from rdvar_jax.report.prediction import save_heat_map
from rdvar_jax.report.results import ScoresFile
from rdvar_jax.report.scale import RunningScale
from rdvar_jax.run import TrainedRun, build_geometry, build_parallel, load_trained
from rdvar_jax.workdir import Workdir

logger = logging.getLogger("rdvar_jax")

SCORES, HEAT_MAPS, MAPS = "scores.csv", "heat_maps", "maps"

# The images of a batch with their pixels [B, H, W, 3], maps [B, H, W] and scores [B].
Scored = tuple[Sequence[InputImage], np.ndarray, np.ndarray, np.ndarray]


def predict(
    config: Config,
    workdir: Workdir,
    inputs: Sequence[Path],
    output: Path,
    which: str = "latest",
    *,
    heat_maps: bool = True,
    save_maps: bool = False,
) -> int:
    """Scores images with a saved state, as `evaluate` does, and writes what it finds.

    Images are read, scored and written batch by batch; only their paths are kept. The output is
    whole or not there: after an error or Ctrl-C everything written is removed again.

    Args:
        config: the run's own, as `load_config` gives it. Its `data` section is needed for
          `image_size` and `geometry` only.
        workdir: the run's folder.
        inputs: image files, and folders that are searched at any depth.
        output: a folder that is empty or not there. It gets `scores.csv`, with the raw scores, and
          the folders `heat_maps` and `maps`, laid out as the inputs are.
        which: "latest" or "best".
        heat_maps: write a PNG for each image. Its colour scale is that of the run's evaluation,
          else that of all maps of this call, which are then computed twice.
        save_maps: write each map as it is, float32 [H, W], as .npy.

    Returns:
        The number of images.

    Raises:
        UserError: the run, an input or the output cannot be used.
    """
    devices = jax.local_devices()
    check_prediction(config, len(devices))
    images = find_inputs(inputs)
    _check_output(output, inputs)
    with _whole_or_nothing(output):
        trained = load_trained(config, workdir, which, build_parallel(config, devices))

        def scored(description: str) -> Iterator[Scored]:
            geometry, batch_size = build_geometry(config), config.score.batch_size
            # disable=None is tqdm's "only on a terminal".
            with tqdm(total=len(images), desc=description, unit="img", disable=None) as bar:
                for batch, pixels in decode_batches(images, geometry, batch_size):
                    yield batch, pixels, *trained.score(pixels)
                    bar.update(len(batch))

        scale = _find_scale(workdir, which, trained, scored) if heat_maps else None
        with _writing(output):
            _write(output, scored("predicting"), scale, save_maps)
    return len(images)


def _write(
    output: Path, batches: Iterator[Scored], scale: tuple[float, float] | None, save_maps: bool
) -> None:
    # Threads, because drawing and compressing a picture takes longer than a GPU takes to score it.
    with ScoresFile(output / SCORES) as scores_file, ThreadPoolExecutor() as executor:

        def write_one(image: InputImage, pixels: np.ndarray, raw: np.ndarray, score: float) -> None:
            if scale is not None:
                path = output / HEAT_MAPS / image.result_name(".png")
                save_heat_map(path, pixels, raw, image.name, score, scale)
            if save_maps:
                path = output / MAPS / image.result_name(".npy")
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, raw)

        for batch, pixels, maps, scores in batches:
            list(executor.map(write_one, batch, pixels, maps, scores))
            scores_file.add([image.name for image in batch], scores)


def _find_scale(
    workdir: Workdir,
    which: str,
    trained: TrainedRun,
    scored: Callable[[str], Iterator[Scored]],
) -> tuple[float, float]:
    """The evaluation's colour scale, if it was of this state, else that of the images."""
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
        "%s holds no colour scale of this state: it is taken from the images, which are scored "
        "twice for that; rdvar evaluate makes one for all calls",
        path,
    )
    running = RunningScale()
    for _, _, maps, _ in scored("colour scale"):
        running.add(maps)
    return running.scale()


def _check_output(output: Path, inputs: Sequence[Path]) -> None:
    if output.exists() and not output.is_dir():
        raise DataError(f"--output {output} is a file; give a folder.")
    if output.is_dir() and any(output.iterdir()):
        raise DataError(f"--output {output} is not empty; give a new or an empty folder.")
    for path in inputs:
        if path.is_dir() and output.resolve().is_relative_to(path.resolve()):
            raise DataError(
                f"--output {output} lies in the input {path}, so the next call would take heat "
                "maps for images; give a folder outside of it."
            )


@contextmanager
def _whole_or_nothing(output: Path) -> Iterator[None]:
    """Makes the folder, and takes away again what came into it when an error goes through."""
    made = not output.exists()
    with _writing(output):
        output.mkdir(parents=True, exist_ok=True)
        if not os.access(output, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    try:
        yield
    except BaseException:
        for folder in (HEAT_MAPS, MAPS):  # the file of scores looks after itself
            shutil.rmtree(output / folder, ignore_errors=True)
        if made:
            output.rmdir()
        raise


@contextmanager
def _writing(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"--output {output} cannot be written ({error.strerror or error}); give a folder "
            "with room that can be written."
        ) from error
