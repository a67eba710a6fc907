"""What training, evaluation and prediction make from a config."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rdvar_jax.data.loading.arrays import TestSet, TrainSet, load_test, load_validation
from rdvar_jax.data.loading.tiles import common_size, score_in_tiles
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.sets.records import Category
from rdvar_jax.data.sets.source import find_images
from rdvar_jax.data.sets.validation import split_validation
from rdvar_jax.devices.parallel import AXIS_NAME, Parallel
from rdvar_jax.errors import CheckpointError, DataError
from rdvar_jax.models.architectures import height_width
from rdvar_jax.models.build import build_student, build_teacher, feature_shapes, image_shape
from rdvar_jax.models.initialise import abstract_variables, init_variables
from rdvar_jax.models.student import Student
from rdvar_jax.models.teacher import Teacher
from rdvar_jax.runs.config import BEST_METRICS, RANDOM_WEIGHTS, Config, determining_settings
from rdvar_jax.runs.workdir import Workdir, refuse_other_settings
from rdvar_jax.scoring.scores import make_prepare_fn, make_score_fn
from rdvar_jax.training.checkpoint import Checkpoints, SavedStep
from rdvar_jax.training.step import TrainState, build_optimiser, init_state
from rdvar_jax.weights.load_teacher import load_teacher
from rdvar_jax.weights.name_map import to_torch
from rdvar_jax.weights.safetensors_file import write_safetensors

logger = logging.getLogger("rdvar_jax")


def build_parallel(config: Config, devices: Sequence[Any]) -> Parallel:
    """The devices that `parallel.num_devices` asks for."""
    number = config.parallel.num_devices or len(devices)
    return Parallel(config.parallel.mode, tuple(devices[:number]))


def build_networks(config: Config) -> tuple[Teacher, Student]:
    """Teacher and student of the config's architecture."""
    arch, width = config.teacher.arch, config.teacher.stem_width
    return build_teacher(arch, width), build_student(arch, width, AXIS_NAME)


def build_tx(config: Config):
    """The config's optimiser."""
    return build_optimiser(config.train.learning_rate, config.train.beta1, config.train.beta2)


def student_shapes(config: Config) -> list[jax.ShapeDtypeStruct]:
    """What the student is called with."""
    return feature_shapes(config.teacher.arch, config.teacher.stem_width, config.data.image_size)


def abstract_state(config: Config, student: Student, parallel: Parallel) -> TrainState:
    """Shapes, dtypes and shardings of the run's state; nothing is computed."""
    variables = abstract_variables(student, student_shapes(config), train=False)
    state = jax.eval_shape(lambda v: init_state(v, build_tx(config)), variables)
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=parallel.replicated), state
    )


def open_checkpoints(config: Config, workdir: Workdir) -> Checkpoints:
    """The run's checkpoints, ranked by the config's best metric."""
    return Checkpoints(workdir.checkpoints, *BEST_METRICS[config.train.best_metric])


def build_geometry(config: Config) -> Geometry:
    """How images become what the networks see, and how maps go back."""
    data = config.data
    return Geometry(data.geometry, *height_width(data.image_size), data.tile_overlap)


def decode_geometry(config: Config, category: Category) -> Geometry:
    """How the images of a set are decoded: those that are tiled at their own size, one for all.

    Raises:
        DataError: no image can be read, or they are smaller than a tile.
    """
    geometry = build_geometry(config)
    if not geometry.is_tiled:
        return geometry
    return common_size((*category.train, *category.test), geometry)


def find_data(config: Config) -> Category:
    """The category's images, with the share of `data.validation` kept from training.

    Raises:
        DataError: see `find_images` and `split_validation`.
    """
    data = config.data
    category = find_images(Path(data.root), data.category, data.layout, data.source)
    return split_validation(category, config.data.validation, config.train.seed)


def memory_budget(config: Config) -> float:
    """Bytes up to which a set's decoded images are held in memory."""
    return config.data.memory_budget_gb * 1e9


def load_validation_set(config: Config) -> TrainSet:
    """The good images of `data.validation`, decoded; none of them was trained on."""
    category = find_data(config)
    return load_validation(
        category,
        decode_geometry(config, category),
        allow_mixed_sizes=config.data.allow_mixed_sizes,
        on_error=config.data.on_error,
    )


def load_test_set(config: Config) -> TestSet:
    """The category's test images and masks, and a warning where they cannot define all metrics.

    Raises:
        DataError: there are none, or one cannot be read.
    """
    category = find_data(config)
    if not category.test:
        raise DataError(
            f"{category.folder} holds no test images; put some into {category.folder / 'test'}, or "
            "score images with rdvar predict."
        )
    test_set = load_test(
        category,
        decode_geometry(config, category),
        threshold=config.data.mask_threshold,
        memory_budget=memory_budget(config),
        allow_mixed_sizes=config.data.allow_mixed_sizes,
        on_error=config.data.on_error,
    )
    for kind, reason in test_set.undefined.items():
        logger.warning("%s: %s metrics are undefined, because %s", category.name, kind, reason)
    return test_set


def copy_teacher(config: Config, workdir: Workdir, teacher: Teacher) -> None:
    """Puts what the teacher needs into the workdir, from where `teacher.weights` says.

    From then on the run is independent of that place. A copy that is there already is kept.
    """
    if workdir.teacher.exists():
        return
    arch, weights = config.teacher.arch, config.teacher.weights
    shape = image_shape(config.data.image_size)
    if weights == RANDOM_WEIGHTS:
        logger.warning("teacher.weights=random: an untrained teacher, good for tests only")
        variables = init_variables(teacher, shape, seed=0)
        source = {"source_sha256": "random"}
    else:
        variables, found = load_teacher(arch, weights, abstract_variables(teacher, shape))
        source = {"source_sha256": found.sha256}
    # Nothing of where the file was: the copy's own hash is the identity of the weights.
    write_safetensors(workdir.teacher, to_torch(variables), {"arch": arch, **source})


def read_teacher(config: Config, workdir: Workdir, teacher: Teacher) -> tuple[dict[str, Any], str]:
    """The teacher's variables and their file's sha256, from the workdir's copy."""
    expected = abstract_variables(teacher, image_shape(config.data.image_size))
    variables, copy = load_teacher(config.teacher.arch, str(workdir.teacher), expected)
    return variables, copy.sha256


def refuse_to_train_imported(config: Config, workdir: Workdir) -> None:
    """Raises a CheckpointError where the run was trained elsewhere."""
    saved = open_checkpoints(config, workdir).find()
    if saved is not None and "imported" in saved.identity:
        source = saved.identity["imported"]["source"]
        raise CheckpointError(
            f"{workdir.folder} holds a run that was imported from {source} and cannot be trained "
            "further, because that file has neither Adam's moments nor the epoch; give another "
            "--workdir to train from the start."
        )


def refuse_other_run(saved: SavedStep, identity: dict[str, Any], workdir: Workdir) -> None:
    """Raises a CheckpointError when a checkpoint comes from other settings, data or weights.

    Args:
        saved: of the checkpoint.
        identity: of this run. What it does not hold is not compared.
        workdir: named in the error.
    """
    where = f"the checkpoint of step {saved.step} in {workdir.folder}"
    refuse_other_settings(saved.identity["settings"], identity["settings"], where)
    if saved.identity["teacher"] != identity["teacher"]:
        raise CheckpointError(
            f"{where} was trained with another teacher than {workdir.teacher}; restore that file, "
            "or give another --workdir."
        )
    if "data" in identity and saved.identity["data"] != identity["data"]:
        raise CheckpointError(
            f"{where} was trained on other images than those now in data.root; restore the "
            "training images, or give another --workdir."
        )


@dataclass(frozen=True)
class SavedRun:
    """A saved state of a run, whole: networks and their variables as in training."""

    teacher: Teacher
    student: Student
    teacher_variables: dict[str, Any]
    student_variables: dict[str, Any]
    saved: SavedStep
    teacher_sha256: str


def load_saved(config: Config, workdir: Workdir, which: str, parallel: Parallel) -> SavedRun:
    """Reads the run's saved state and its teacher.

    Args:
        config: the run's own.
        workdir: the run's folder.
        which: "latest" or "best".
        parallel: the devices that get the state; the teacher stays on the host.

    Raises:
        CheckpointError: there is no such state, or it comes from other settings or weights.
        WeightsError: the workdir's copy of the teacher cannot be read.
    """
    teacher, student = build_networks(config)
    checkpoints = open_checkpoints(config, workdir)
    if checkpoints.find(which) is None:
        raise CheckpointError(
            f"{workdir.folder} holds no {which} checkpoint; train first, until an epoch is saved."
        )
    teacher_variables, teacher_sha256 = read_teacher(config, workdir, teacher)
    restored = checkpoints.restore(abstract_state(config, student, parallel), which)
    assert restored is not None  # restore raises where find found something
    state, saved = restored
    identity = {"settings": determining_settings(config), "teacher": teacher_sha256}
    refuse_other_run(saved, identity, workdir)
    student_variables = {"params": state.params, "batch_stats": state.batch_stats}
    return SavedRun(teacher, student, teacher_variables, student_variables, saved, teacher_sha256)


def tiled(score: Callable, geometry: Geometry) -> Callable:
    """A function that scores images, so that it scores tiled ones at their own size."""
    if not geometry.is_tiled:
        return score
    tile = geometry.height, geometry.width

    def score_whole(images: np.ndarray, progress: bool = False) -> tuple[np.ndarray, np.ndarray]:
        return score_in_tiles(score, images, tile, geometry.overlap, progress)

    return score_whole


@dataclass(frozen=True)
class TrainedRun:
    """A saved state of a run, ready to score images."""

    # (uint8 [N, H, W, 3], progress=False) -> maps [N, H, W] and scores [N], float32, raw. Of tiled
    # images all are at their own size.
    score: Callable[..., tuple[np.ndarray, np.ndarray]]
    saved: SavedStep
    teacher_sha256: str


def load_trained(config: Config, workdir: Workdir, which: str, parallel: Parallel) -> TrainedRun:
    """The run's saved state with its teacher, as a function of images.

    Args:
        config: the run's own, with the settings of `score` that shall hold now.
        workdir: the run's folder.
        which: "latest" or "best".
        parallel: the devices that score.

    Raises:
        CheckpointError, WeightsError: see `load_saved`.
    """
    run = load_saved(config, workdir, which, parallel)
    size, batch_size = config.data.image_size, config.score.batch_size
    precision = config.compute.precision
    score_images = make_score_fn(
        run.teacher, run.student, size, batch_size, parallel, config.score.sigma, precision
    )
    # Once, not in each call: prediction calls this for every batch.
    prepare = make_prepare_fn(run.teacher, run.student, size, batch_size, parallel, precision)
    variables = prepare(parallel.replicate(run.teacher_variables), run.student_variables)

    def score(images: np.ndarray, progress: bool = False) -> tuple[np.ndarray, np.ndarray]:
        return score_images(*variables, images, progress=progress)

    return TrainedRun(tiled(score, build_geometry(config)), run.saved, run.teacher_sha256)
