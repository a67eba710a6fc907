"""Every setting with its default, and the check that all of them can be used.

A file in `configs/` changes some of these defaults. Only the modules beside this one read a config;
what lies in the rooms below takes plain arguments.
"""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, TypeAlias

from ml_collections import ConfigDict

from rdvar_jax.data.folder import find_category
from rdvar_jax.data.stream import steps_at_epoch
from rdvar_jax.errors import ConfigError, DataError
from rdvar_jax.models.architectures import ARCHITECTURES, SIZE_MULTIPLE
from rdvar_jax.models.precision import PRECISIONS
from rdvar_jax.parallel import MODES
from rdvar_jax.training.losses import DISTANCES, DISTILLATIONS, REDUCTIONS, STAGES, LossSettings
from rdvar_jax.weights.procedural import ARCH, PROCEDURAL, STEM_WIDTH

# A ConfigDict; its sections and settings are only known at run time.
Config: TypeAlias = Any

# teacher.weights: anything else is a path.
RANDOM_WEIGHTS = "random"
WEIGHTS_BY_NAME = ("", RANDOM_WEIGHTS, PROCEDURAL)

BEST_METRICS = {
    # name: whether higher is better. All but the first look at test labels.
    "train_loss": False,
    "test_image_auroc": True,
    "test_pixel_auroc": True,
    "test_aupro": True,
}

# A run may go on with other values of these: they do not change what a step computes, beyond
# rounding. The training images are compared by their contents instead.
RESUMABLE = (
    "data.root",
    "data.mask_threshold",
    "train.epochs",
    "train.cache_features",
    "train.cache_budget_gb",
    "train.log_every_steps",
    "train.checkpoint_every_epochs",
    "train.evaluate_every_epochs",
    "train.best_metric",
)
RESUMABLE_SECTIONS = ("score", "report", "parallel", "distributed", "logging")


def default_config() -> Config:
    """The paper's setting, without data and category."""
    config = ConfigDict(
        {
            "data": {
                # Folder of categories in MVTec layout, and the category: one of its sub-folders.
                "root": "",
                "category": "",
                # S: images are resized to S x S; a multiple of 32.
                "image_size": 256,
                # A resized mask pixel is defective where it is over "half" or "any" more than 0.
                "mask_threshold": "half",
                # Take images of different sizes; the resize then scales them differently.
                "allow_mixed_sizes": False,
            },
            "teacher": {
                "arch": "wide_resnet50_2",
                # Path of a .pth or .safetensors file; "" looks in the cache, then downloads
                # torchvision's IMAGENET1K_V1; "procedural" is the small one in the package (a
                # resnet18 of stem_width 32); "random" is an untrained one, for tests.
                "weights": "",
                # 64 in every torchvision net; narrower ones need weights of their own.
                "stem_width": 64,
            },
            "loss": {
                "lambda_var": 0.1,
                "stages": ("d1",),
                "distance": "cosine",
                "reduction": "mean",
                "stop_gradient_mean": False,
                "distillation": "flat",
            },
            "train": {
                "epochs": 200,
                "batch_size": 16,
                "seed": 0,
                "learning_rate": 0.005,
                "beta1": 0.5,
                "beta2": 0.999,
                # Compute the teacher's features of the training set once and keep them on each
                # device: "on", "off", or "auto" for on where they fit into the budget, in 10^9
                # bytes a device.
                "cache_features": "auto",
                "cache_budget_gb": 4.0,
                "log_every_steps": 10,
                "checkpoint_every_epochs": 10,
                # 0: the test set is not looked at in training.
                "evaluate_every_epochs": 0,
                # What the best checkpoint is best in.
                "best_metric": "train_loss",
            },
            "compute": {
                # Of the networks: "float32", "tf32" or "bfloat16"; see models/precision.py.
                "precision": "tf32",
            },
            "score": {
                "batch_size": 16,
                # Deviation of the map's Gaussian blur, in pixels.
                "sigma": 4.0,
            },
            "parallel": {
                "mode": "pmap",
                # 0: all devices, of all processes.
                "num_devices": 0,
            },
            "distributed": {
                # Several processes that train together (docs/multihost.md). Either all three of
                # these, or auto for what the cluster's environment says.
                "coordinator": "",  # host:port on which process 0 listens
                "num_processes": 1,
                "process_id": -1,  # of this process, from 0
                "auto": False,
                # Silence after which a process counts as lost, and the job ends.
                "lost_after_seconds": 60,
                # How long processes wait for one another at the start.
                "connect_seconds": 300,
            },
            "report": {
                # Panels in W/figures, worst errors first.
                "max_figures": 40,
            },
            "logging": {
                "tensorboard": False,
            },
        }
    )
    return config.lock()  # a misspelt setting is an error


def resolved(config: Config) -> Config:
    """A copy in one spelling: absolute paths, and one name for each stage."""
    config = config.copy_and_resolve_references()
    config.loss.stages = stages(config)
    if config.data.root:
        config.data.root = str(Path(config.data.root).expanduser().absolute())
    if config.teacher.weights not in WEIGHTS_BY_NAME:
        config.teacher.weights = str(Path(config.teacher.weights).expanduser().absolute())
    return config


def stages(config: Config) -> tuple[str, ...]:
    """loss.stages as single names; the command line gives "d1,d2" or "d1+d2" as one."""
    names = (name for item in config.loss.stages for name in item.replace("+", ",").split(","))
    return tuple(name.strip().lower() for name in names)


def loss_settings(config: Config) -> LossSettings:
    """The `loss` section for the functions that compute it."""
    values = {f.name: config.loss[f.name] for f in dataclasses.fields(LossSettings)}
    return LossSettings(**{**values, "stages": stages(config)})


def check_training(config: Config, num_local_devices: int, num_processes: int = 1) -> None:
    """Raises a ConfigError that names every setting which cannot be used, and how to mend it."""
    _refuse(
        [
            *_check_data(config, check_steps=True),
            *_check_teacher(config),
            *_check_loss(config),
            *_check_train(config),
            *_check_compute(config),
            *_check_scoring(config),
            *_check_parallel(config, num_local_devices, ("train", "score"), num_processes),
        ]
    )


def check_evaluation(config: Config, num_local_devices: int) -> None:
    """As `check_training`, for what evaluating a trained run depends on."""
    _refuse(
        [
            *_check_data(config, check_steps=False),
            *_check_compute(config),
            *_check_scoring(config),
            *_check_one_process(config),
            *_check_parallel(config, num_local_devices, ("score",)),
        ]
    )


def check_prediction(config: Config, num_local_devices: int) -> None:
    """As `check_evaluation`, without the data set: any images can be scored."""
    _refuse(
        [
            *_check_compute(config),
            *_check_scoring(config),
            *_check_one_process(config),
            *_check_parallel(config, num_local_devices, ("score",)),
        ]
    )


def check_import(config: Config, num_local_devices: int) -> None:
    """As `check_training`, for a run that was trained elsewhere; it may do without data."""
    _refuse(
        [
            *_check_data(config, check_steps=False, is_optional=True),
            *_check_teacher(config),
            *_check_loss(config),
            *_check_compute(config),
            *_check_scoring(config),
            *_check_one_process(config),
            *_check_parallel(config, num_local_devices, ("score",)),
        ]
    )


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ConfigError("\n".join(problems))


def _check_data(config: Config, *, check_steps: bool, is_optional: bool = False) -> list[str]:
    problems = []
    data = config.data
    if data.image_size < SIZE_MULTIPLE or data.image_size % SIZE_MULTIPLE:
        near = max(SIZE_MULTIPLE, round(data.image_size / SIZE_MULTIPLE) * SIZE_MULTIPLE)
        problems.append(
            f"data.image_size={data.image_size} must be a multiple of {SIZE_MULTIPLE}, or the "
            f"decoder's maps do not fit the teacher's; use {near}."
        )
    problems += _one_of("data.mask_threshold", data.mask_threshold, ("half", "any"))
    if is_optional and not data.root:
        return problems
    if not data.root:
        problems.append(
            "data.root is empty; give the folder of categories with --config.data.root=FOLDER."
        )
    elif not data.category:
        problems.append(
            "data.category is empty; name it after the config file, as in --config FILE:CATEGORY."
        )
    else:
        try:
            category = find_category(Path(data.root), data.category)
        except DataError as error:
            problems.append(str(error))
        else:
            if check_steps:
                problems += _check_steps(config, len(category.train))
    return problems


def _check_steps(config: Config, num_images: int) -> list[str]:
    train = config.train
    if train.epochs < 1 or train.batch_size < 1:
        return []  # said elsewhere
    if steps_at_epoch(num_images, train.batch_size, train.epochs) > 0:
        return []
    return [
        f"train.epochs={train.epochs} of {num_images} images fill no batch of "
        f"train.batch_size={train.batch_size}; use more epochs or a smaller batch."
    ]


def _check_compute(config: Config) -> list[str]:
    return _one_of("compute.precision", config.compute.precision, PRECISIONS)


def _check_teacher(config: Config) -> list[str]:
    teacher = config.teacher
    problems = _one_of("teacher.arch", teacher.arch, tuple(ARCHITECTURES))
    problems += _at_least("teacher.stem_width", teacher.stem_width, 1)
    weights = teacher.weights
    if weights == PROCEDURAL and (teacher.arch, teacher.stem_width) != (ARCH, STEM_WIDTH):
        problems.append(
            f"teacher.weights={PROCEDURAL} needs teacher.arch={ARCH} and "
            f"teacher.stem_width={STEM_WIDTH}, not {teacher.arch} and {teacher.stem_width}; set "
            "them so, or start from configs/demo.py."
        )
    if weights not in WEIGHTS_BY_NAME and not Path(weights).expanduser().is_file():
        problems.append(
            f"teacher.weights={weights} is not a file; give a .pth or .safetensors file, or leave "
            "it empty to use torchvision's weights from the cache or a download."
        )
    return problems


def _check_loss(config: Config) -> list[str]:
    loss = config.loss
    problems = []
    for name in stages(config):
        problems += _one_of("loss.stages", name, STAGES)
    if len(set(stages(config))) < len(stages(config)):
        problems.append(f"loss.stages={stages(config)} names a stage twice; name each once.")
    if not (math.isfinite(loss.lambda_var) and loss.lambda_var >= 0):
        problems.append(
            f"loss.lambda_var={loss.lambda_var} must be 0 or more; 0 is plain reverse distillation."
        )
    problems += _one_of("loss.distance", loss.distance, DISTANCES)
    problems += _one_of("loss.reduction", loss.reduction, REDUCTIONS)
    problems += _one_of("loss.distillation", loss.distillation, DISTILLATIONS)
    return problems


def _check_train(config: Config) -> list[str]:
    train = config.train
    problems = []
    for name in ("epochs", "batch_size", "log_every_steps", "checkpoint_every_epochs"):
        problems += _at_least(f"train.{name}", train[name], 1)
    for name in ("evaluate_every_epochs", "seed"):
        problems += _at_least(f"train.{name}", train[name], 0)
    if not (math.isfinite(train.learning_rate) and train.learning_rate > 0):
        problems.append(f"train.learning_rate={train.learning_rate} must be over 0; use 0.005.")
    for name in ("beta1", "beta2"):
        if not 0 <= train[name] < 1:
            problems.append(f"train.{name}={train[name]} must be at least 0 and under 1.")
    problems += _one_of("train.cache_features", train.cache_features, ("auto", "on", "off"))
    if not (math.isfinite(train.cache_budget_gb) and train.cache_budget_gb >= 0):
        problems.append(f"train.cache_budget_gb={train.cache_budget_gb} must be 0 or more.")
    problems += _one_of("train.best_metric", train.best_metric, tuple(BEST_METRICS))
    if train.best_metric.startswith("test_") and train.evaluate_every_epochs == 0:
        problems.append(
            f"train.best_metric={train.best_metric} needs evaluations in training; set "
            "train.evaluate_every_epochs."
        )
    return problems


def _check_scoring(config: Config) -> list[str]:
    sigma = config.score.sigma
    problems = _at_least("score.batch_size", config.score.batch_size, 1)
    if not (math.isfinite(sigma) and sigma >= 0):
        problems.append(f"score.sigma={sigma} must be 0 or more; RD4AD uses 4.")
    return problems + _at_least("report.max_figures", config.report.max_figures, 0)


def _check_one_process(config: Config) -> list[str]:
    if config.distributed == default_config().distributed:
        return []
    return ["distributed: only rdvar train uses several processes; leave these settings out here."]


def _check_parallel(
    config: Config, num_local_devices: int, batches: tuple[str, ...], num_processes: int = 1
) -> list[str]:
    parallel = config.parallel
    problems = _one_of("parallel.mode", parallel.mode, MODES)
    problems += _at_least("parallel.num_devices", parallel.num_devices, 0)
    if parallel.num_devices > num_local_devices:
        problems.append(
            f"parallel.num_devices={parallel.num_devices} but this process has "
            f"{num_local_devices}; use 0 for all of them (JAX_NUM_CPU_DEVICES makes virtual ones)."
        )
        return problems
    if parallel.num_devices > 0 and num_processes > 1:
        problems.append(
            f"parallel.num_devices={parallel.num_devices} is for one process; with several leave "
            "it 0, and say which devices each of them sees (CUDA_VISIBLE_DEVICES)."
        )
        return problems
    used = parallel.num_devices if parallel.num_devices > 0 else num_local_devices
    for section in batches:
        batch_size = config[section].batch_size
        # Process 0 scores alone.
        several = num_processes > 1 and section == "train"
        share = used * num_processes if several else used
        if batch_size > 0 and batch_size % share:
            problems.append(
                f"{section}.batch_size={batch_size} cannot be split over {share} devices"
                f"{f' of {num_processes} processes' if several else ''}; use "
                f"{max(batch_size // share, 1) * share}"
                f"{'' if num_processes > 1 else ', or set parallel.num_devices'}."
            )
    return problems


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> list[str]:
    return [] if value in choices else [f"{name}={value} is not one of {', '.join(choices)}."]


def _at_least(name: str, value: int, least: int) -> list[str]:
    return [] if value >= least else [f"{name}={value} must be at least {least}."]


def flatten(config: Config) -> dict[str, Any]:
    """Dotted names to values, as JSON gives them back."""
    values = json.loads(config.to_json())
    return {f"{section}.{name}": v for section in values for name, v in values[section].items()}


def determining_settings(config: Config) -> dict[str, Any]:
    """The settings on which the trained parameters depend: a run cannot go on with others."""
    return {
        name: value
        for name, value in flatten(config).items()
        if name not in RESUMABLE and name.split(".")[0] not in RESUMABLE_SECTIONS
    }


def config_from_json(text: str) -> Config:
    """Reads what `ConfigDict.to_json` wrote; settings that are new since then take their default.

    Raises:
        ConfigError: unknown names, or a value of another type.
    """
    try:
        values = json.loads(text)
        config = default_config()
        for section, settings in values.items():
            for name, value in settings.items():
                config[section][name] = tuple(value) if isinstance(value, list) else value
        return config
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise ConfigError(f"not a config of this program: {error}") from error
