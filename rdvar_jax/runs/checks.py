"""Checks of all settings before any work starts; all problems are reported at once.

The `check_...` functions raise; the others return one sentence for each problem.
"""

from pathlib import Path

import numpy as np

from rdvar_jax.data.pixels.reading import AUTO_FULL_SCALE
from rdvar_jax.data.sets.records import Category
from rdvar_jax.devices.parallel import MODES
from rdvar_jax.errors import ConfigError
from rdvar_jax.models.methods import METHODS
from rdvar_jax.models.precision import PRECISIONS
from rdvar_jax.runs.config import (
    BEST_METRICS,
    NO_IGNORE,
    OLD_BEST_METRICS,
    WEIGHTS_BY_NAME,
    Config,
    default_config,
    stages,
)
from rdvar_jax.runs.data_checks import (
    MOST_GB,
    MOST_IMAGES,
    data_problems,
    find_category,
    in_range,
    number_problems,
    one_of,
)
from rdvar_jax.scoring.pooling import is_pooling
from rdvar_jax.training.loss_settings import (
    DISTANCES,
    DISTILLATIONS,
    OPTIMISERS,
    REDUCTIONS,
    STAGES,
)
from rdvar_jax.weights.architectures import ARCHITECTURES, find_architecture
from rdvar_jax.weights.procedural import ARCH, PROCEDURAL, STEM_WIDTH

MOST_WIDTH = 1024
MOST_SEED = 2**63 - 1
MOST_LAMBDA = 1e6
MOST_SIGMA = 1000
MOST_FOLDS = 100


def check_training(config: Config, num_local_devices: int, num_processes: int = 1) -> Category:
    """Checks the settings that training depends on.

    Returns:
        The category's images, with those of `data.validation` held out from training.

    Raises:
        ConfigError: one sentence for each setting that cannot be used, with the fix.
    """
    category, problems = find_category(config)
    if category is not None:
        problems += number_problems(config, category)
    _refuse(
        [
            *problems,
            *teacher_problems(config),
            *loss_problems(config),
            *train_problems(config),
            *_fold_problems(config, num_processes),
            *scoring_problems(config),
            *parallel_problems(config, num_local_devices, ("train", "score"), num_processes),
        ]
    )
    assert category is not None  # else there was a problem
    return category


def check_fit(config: Config, num_devices: int) -> None:
    """Same as `check_training`, for images and a teacher already in memory."""
    _refuse(
        [
            *loss_problems(config),
            *train_problems(config),
            *scoring_problems(config),
            *parallel_problems(config, num_devices, ("train",)),
        ]
    )


def check_evaluation(config: Config, num_local_devices: int) -> Category:
    """Checks the settings that evaluation depends on; see `check_training`."""
    category, problems = find_category(config)
    _refuse([*problems, *_prediction_problems(config, num_local_devices)])
    assert category is not None
    return category


def check_prediction(config: Config, num_local_devices: int) -> None:
    """Same as `check_evaluation`, without the data set: any images can be scored."""
    _refuse(_prediction_problems(config, num_local_devices))


def check_import(config: Config, num_local_devices: int) -> None:
    """Checks the settings that an imported run depends on; data is optional."""
    problems = data_problems(config)
    if config.data.root:
        problems = find_category(config)[1]
    if config.data.full_scale == AUTO_FULL_SCALE:
        problems.append(
            f"data.full_scale={AUTO_FULL_SCALE} is decided by training; give a number or type here."
        )
    _refuse(
        [
            *problems,
            *teacher_problems(config),
            *loss_problems(config),
            *_prediction_problems(config, num_local_devices),
        ]
    )


def _prediction_problems(config: Config, num_local_devices: int) -> list[str]:
    problems = scoring_problems(config)
    if config.distributed != default_config().distributed:
        problems.append(
            "distributed: only rdvar train uses several processes; omit these settings here."
        )
    return problems + parallel_problems(config, num_local_devices, ("score",))


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ConfigError(*problems)


def teacher_problems(config: Config) -> list[str]:
    """Checks the sections `model` and `teacher`, and that a weight file exists."""
    teacher = config.teacher
    problems = one_of("model.name", config.model.name, tuple(METHODS))
    if find_architecture(teacher.arch) is None:
        problems += one_of("teacher.arch", teacher.arch, tuple(ARCHITECTURES))
    problems += in_range("teacher.stem_width", teacher.stem_width, 1, MOST_WIDTH)
    weights = teacher.weights
    if weights == PROCEDURAL and (teacher.arch, teacher.stem_width) != (ARCH, STEM_WIDTH):
        problems.append(
            f"teacher.weights={PROCEDURAL} needs teacher.arch={ARCH} and "
            f"teacher.stem_width={STEM_WIDTH}, not {teacher.arch} and {teacher.stem_width}; change "
            "them, or start from --config demo."
        )
    if weights not in WEIGHTS_BY_NAME and not Path(weights).expanduser().is_file():
        problems.append(
            f"teacher.weights={weights} is not a file; give a .pth or .safetensors file, or leave "
            "it empty to use torchvision's weights, cached or downloaded."
        )
    return problems


def loss_problems(config: Config) -> list[str]:
    """Checks the section `loss`."""
    loss = config.loss
    problems = []
    for name in stages(config):
        problems += one_of("loss.stages", name, STAGES)
    if len(set(stages(config))) < len(stages(config)):
        problems.append(f"loss.stages={stages(config)} names a stage twice; name each once.")
    problems += in_range(
        *("loss.lambda_var", loss.lambda_var, 0, MOST_LAMBDA),
        advice="; 0 is plain reverse distillation",
    )
    problems += one_of("loss.distance", loss.distance, DISTANCES)
    problems += one_of("loss.reduction", loss.reduction, REDUCTIONS)
    problems += one_of("loss.distillation", loss.distillation, DISTILLATIONS)
    return problems


def train_problems(config: Config) -> list[str]:
    """Checks the section `train`."""
    train = config.train
    problems = []
    for name in ("epochs", "log_every_steps", "checkpoint_every_epochs", "steps_per_call"):
        problems += in_range(f"train.{name}", train[name], 1)
    problems += in_range("train.batch_size", train.batch_size, 1, MOST_IMAGES)
    problems += in_range("train.evaluate_every_epochs", train.evaluate_every_epochs, 0)
    problems += in_range("train.level_off", train.level_off, 0, 1)
    problems += in_range("train.folds", train.folds, 0, MOST_FOLDS)
    if train.folds == 1:
        problems.append("train.folds=1 leaves no image to train on; use 0 for none, or 3.")
    problems += in_range("train.seed", train.seed, 0, MOST_SEED)
    if not 0 < train.learning_rate <= 1:
        problems.append(
            f"train.learning_rate={train.learning_rate} must be over 0 and at most 1; use 0.005."
        )
    for name in ("beta1", "beta2"):
        if not 0 <= train[name] < 1 or np.float32(train[name]) == 1:
            problems.append(
                f"train.{name}={train[name]} must be at least 0 and under 1, also in float32."
            )
    problems += one_of("train.optimiser", train.optimiser, OPTIMISERS)
    problems += in_range("train.weight_decay", train.weight_decay, 0, 1)
    problems += one_of("train.cache_features", train.cache_features, ("auto", "on", "off"))
    problems += in_range("train.cache_budget_gb", train.cache_budget_gb, 0, MOST_GB)
    if train.best_metric in OLD_BEST_METRICS:
        problems.append(
            f"train.best_metric={train.best_metric} selects a checkpoint by test labels, so it is "
            f"now called {OLD_BEST_METRICS[train.best_metric]}; use that name and report the "
            "result as an oracle, or use train_loss."
        )
    else:
        problems += one_of("train.best_metric", train.best_metric, tuple(BEST_METRICS))
    if train.best_metric.startswith("oracle_") and train.evaluate_every_epochs == 0:
        problems.append(
            f"train.best_metric={train.best_metric} needs evaluations during training; set "
            "train.evaluate_every_epochs."
        )
    return problems


def _fold_problems(config: Config, num_processes: int) -> list[str]:
    folds, reason = config.train.folds, ""
    if folds and config.data.geometry == "tile":
        reason = "cannot be used with data.geometry=tile"
    elif folds and num_processes > 1:
        reason = "is for one process"
    return [
        f"train.folds={folds} {reason}; set it to 0, and data.validation=0.1 for a threshold."
    ] * bool(reason)


def scoring_problems(config: Config) -> list[str]:
    """Checks the sections `compute`, `score` and `report`."""
    problems = one_of("compute.precision", config.compute.precision, PRECISIONS)
    problems += in_range("score.batch_size", config.score.batch_size, 1, MOST_IMAGES)
    problems += in_range("score.sigma", config.score.sigma, 0, MOST_SIGMA, advice="; RD4AD uses 4")
    if not is_pooling(config.score.pooling):
        problems.append(
            f"score.pooling={config.score.pooling} must be max, or a number over 0 and at most 1: "
            "the share of the map's pixels whose mean is the score."
        )
    problems += in_range("score.min_area", config.score.min_area, 0)
    ignore = config.score.ignore
    if ignore not in ("", NO_IGNORE) and not Path(ignore).expanduser().is_file():
        problems.append(
            f"score.ignore={ignore} is not a file; give a picture that is black where pixels "
            f"count, or {NO_IGNORE}."
        )
    return problems + in_range("report.max_figures", config.report.max_figures, 0)


def parallel_problems(
    config: Config, num_local_devices: int, batches: tuple[str, ...], num_processes: int = 1
) -> list[str]:
    """Checks that the devices exist and that the sections' batches split over them."""
    parallel = config.parallel
    problems = one_of("parallel.mode", parallel.mode, MODES)
    if parallel.num_devices < 0:
        problems += in_range("parallel.num_devices", parallel.num_devices, 0, num_local_devices)
    if parallel.num_devices > num_local_devices:
        problems.append(
            f"parallel.num_devices={parallel.num_devices} but this process has "
            f"{num_local_devices}; use 0 for all of them (JAX_NUM_CPU_DEVICES adds virtual ones)."
        )
        return problems
    if parallel.num_devices > 0 and num_processes > 1:
        problems.append(
            f"parallel.num_devices={parallel.num_devices} is for one process; with several, leave "
            "it at 0 and choose the devices that each sees with CUDA_VISIBLE_DEVICES."
        )
        return problems
    used = parallel.num_devices if parallel.num_devices > 0 else num_local_devices
    for section in batches:
        batch_size = config[section].batch_size
        # Only process 0 scores.
        several = num_processes > 1 and section == "train"
        share = used * num_processes if several else used
        if 0 < batch_size <= MOST_IMAGES and batch_size % share:
            problems.append(
                f"{section}.batch_size={batch_size} cannot be split over {share} devices"
                f"{f' of {num_processes} processes' if several else ''}; use "
                f"{max(batch_size // share, 1) * share}"
                f"{'' if num_processes > 1 else ', or set parallel.num_devices'}."
            )
    return problems
