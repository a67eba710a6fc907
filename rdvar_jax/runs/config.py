"""Every setting with its default, and how a config is read; `checks/` says what can be used.

A file in `configs/` changes some of these defaults. Only the modules beside this one and `checks/`
read a config; what lies in the rooms below takes plain arguments.
"""

import json
from pathlib import Path
from typing import Any, TypeAlias

from ml_collections import ConfigDict, FieldReference

from rdvar_jax.errors import ConfigError
from rdvar_jax.weights.procedural import PROCEDURAL

# A ConfigDict; its sections and settings are only known at run time.
Config: TypeAlias = Any

# data.image_size: a number, or height and width.
IMAGE_SIZE_TYPES = (int, tuple)

# teacher.weights: anything else is a path.
RANDOM_WEIGHTS = "random"
WEIGHTS_BY_NAME = ("", "imagenet", RANDOM_WEIGHTS, PROCEDURAL)

BEST_METRICS = {
    # name: the metric in a checkpoint's manifest, and whether higher is better. What looks at test
    # labels has to be asked for as an oracle.
    "train_loss": ("train_loss", False),
    "oracle_image_auroc": ("test_image_auroc", True),
    "oracle_pixel_auroc": ("test_pixel_auroc", True),
    "oracle_aupro": ("test_aupro", True),
}
# Their names in runs of earlier versions.
OLD_BEST_METRICS = {
    name: new for new, (name, _) in BEST_METRICS.items() if new.startswith("oracle_")
}

# A run may go on with other values of these: they do not change what a step computes, beyond
# rounding. The training images are compared by their contents instead.
RESUMABLE = (
    "data.root",
    "data.source",
    "data.layout",
    "data.good_names",
    "data.memory_budget_gb",
    "data.num_workers",
    "data.mask_threshold",
    "data.on_error",
    "train.epochs",
    "train.cache_features",
    "train.cache_budget_gb",
    "train.steps_per_call",
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
                # "folder", or "tfds" for what `rdvar prepare --source tfds` made in root.
                "source": "folder",
                # "mvtec", "visa", "btad", "folder" (good images and what there is beside them), or
                # "auto" to find out which of these it is; see data/layouts/.
                "layout": "auto",
                # Folders of good images, beside those that the layout itself has, such as good,OK.
                "good_names": ("good",),
                # S, or (H, W), each a multiple of 32: what the networks see of an image, brought to
                # it by "squash" (stretched), "crop" (the middle, its aspect kept) or "pad" (the
                # whole, its aspect kept, with a border); see data/pixels/geometry.py. With
                # "tile" it is the size of the tiles that are cut from images of any larger size.
                "image_size": FieldReference(256, field_type=IMAGE_SIZE_TYPES),
                "geometry": "squash",
                # Least share of a tile that the next one covers too.
                "tile_overlap": 0.25,
                # Share of the good training images that is kept from training, for thresholds and
                # early looks, such as 0.1; which ones follows from train.seed and their names.
                "validation": 0.0,
                # A resized mask pixel is defective where it is over "half" or "any" more than 0.
                "mask_threshold": "half",
                # Take images of different sizes; the resize then scales them differently.
                "allow_mixed_sizes": False,
                # An image that cannot be read, or whose mask cannot: "fail" ends the command,
                # "skip" leaves it out and lists it, up to a twentieth of a split.
                "on_error": "fail",
                # Decoded images of a set are held in memory up to this many 10^9 bytes; above, they
                # are decoded again whenever they are needed.
                "memory_budget_gb": 4.0,
                # Processes that decode training images over the budget; 0: threads of this one.
                "num_workers": 0,
            },
            "teacher": {
                "arch": "wide_resnet50_2",
                # Path of a .pth or .safetensors file; "" or "imagenet" looks in the cache, then
                # downloads torchvision's IMAGENET1K_V1; "procedural" is the small one in the
                # package (a resnet18 of stem_width 32); "random" is an untrained one, for tests.
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
                # Steps in one call of the device. On a GPU more than 1 can be faster where steps
                # are short; on CPU it is many times slower.
                "steps_per_call": 1,
                "log_every_steps": 10,
                "checkpoint_every_epochs": 10,
                # 0: the test set is not looked at in training.
                "evaluate_every_epochs": 0,
                # What the best checkpoint is best in. The oracle_... ones look at test labels.
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
    """A copy in one spelling: absolute paths, one name for each stage, one number for a square."""
    config = config.copy_and_resolve_references()
    config.loss.stages = stages(config)
    config.data.good_names = good_names(config)
    size = config.data.image_size
    if isinstance(size, tuple) and len(set(size)) == 1 and len(size) == 2:
        with config.data.ignore_type():
            config.data.image_size = size[0]
    if config.data.root:
        config.data.root = str(Path(config.data.root).expanduser().absolute())
    if config.teacher.weights == "imagenet":
        config.teacher.weights = ""
    if config.teacher.weights not in WEIGHTS_BY_NAME:
        config.teacher.weights = str(Path(config.teacher.weights).expanduser().absolute())
    return config


def stages(config: Config) -> tuple[str, ...]:
    """loss.stages as single names; the command line gives "d1,d2" or "d1+d2" as one."""
    names = (name for item in config.loss.stages for name in item.replace("+", ",").split(","))
    return tuple(name.strip().lower() for name in names)


def good_names(config: Config) -> tuple[str, ...]:
    """data.good_names as single names; the command line gives "good,OK" as one."""
    names = (name.strip() for item in config.data.good_names for name in item.split(","))
    return tuple(dict.fromkeys(name for name in names if name))


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
        best = config.train.best_metric
        config.train.best_metric = OLD_BEST_METRICS.get(best, best)
        return config
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise ConfigError(f"not a config of this program: {error}") from error
