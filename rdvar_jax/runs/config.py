"""All settings with their defaults, and reading and comparing configs.

A preset or a config file changes some of these defaults; `checks.py` validates them. Only `runs/`,
`commands/` and `cli/` see a config; the other rooms take plain arguments.
"""

import json
from pathlib import Path
from typing import Any, TypeAlias

from ml_collections import ConfigDict, FieldReference

from rdvar_jax.data.pixels.reading import AUTO_FULL_SCALE, MAX_PIXELS
from rdvar_jax.data.sets.photos import category_name
from rdvar_jax.errors import ConfigError
from rdvar_jax.weights.procedural import PROCEDURAL

# A ConfigDict, whose sections and settings are known only at run time.
Config: TypeAlias = Any

# data.image_size: one number, or height and width.
IMAGE_SIZE_TYPES = (int, tuple)
# data.full_scale: a grey value, or a name.
FULL_SCALE_TYPES = (int, str)

# data.mask_threshold: a name or a number.
MASK_THRESHOLD_TYPES = (str, int)

# score.pooling: a name, or a share.
POOLING_TYPES = (str, float)

# score.ignore: anything else is a path.
NO_IGNORE = "none"

# teacher.weights: anything else is a path.
RANDOM_WEIGHTS = "random"
WEIGHTS_BY_NAME = ("", "imagenet", RANDOM_WEIGHTS, PROCEDURAL)

BEST_METRICS = {
    # name: the metric in a checkpoint's manifest, and whether higher is better. The prefix
    # "oracle_" marks metrics that use test labels.
    "train_loss": ("train_loss", False),
    "oracle_image_auroc": ("test_image_auroc", True),
    "oracle_pixel_auroc": ("test_pixel_auroc", True),
    "oracle_aupro": ("test_aupro", True),
}
# Names in runs of earlier versions.
OLD_BEST_METRICS = {
    name: new for new, (name, _) in BEST_METRICS.items() if new.startswith("oracle_")
}

# Settings that may change when a run is resumed: they change what a step computes by rounding at
# most. Training images are compared by content instead.
RESUMABLE = (
    "data.root",
    "data.good",
    "data.bad",
    "data.source",
    "data.layout",
    "data.good_names",
    "data.memory_budget_gb",
    "data.num_workers",
    "data.mask_threshold",
    "data.max_pixels",
    "data.mask_orientation",
    "data.on_error",
    "train.epochs",
    "train.level_off",
    "train.folds",
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
    """Returns the paper's settings, without data and category."""
    config = ConfigDict(
        {
            "data": {
                # Folder of categories, and the category: the name of one of its subfolders.
                "root": "",
                "category": "",
                # Or, without a layout: files, folders (searched at any depth) and patterns of good
                # photographs, and of known defects, whose folders are their kinds.
                "good": (),
                "bad": (),
                # "folder", or "tfds" if `rdvar prepare --source tfds` made data.root.
                "source": "folder",
                # "mvtec", "visa", "btad", "folder" (good images, the rest optional), or "auto" to
                # detect which of these it is; see docs/data.md.
                "layout": "auto",
                # Names of folders with good images, besides the layout's own, such as good,OK.
                "good_names": ("good",),
                # Input size of the networks in pixels: S for a square, or H,W; multiples of 32.
                # "squash" stretches each image to it, "crop" takes the centre and "pad" adds
                # padding (both keep the aspect ratio). With "tile" it is the size of the tiles cut
                # from larger images. See docs/data.md.
                "image_size": FieldReference(256, field_type=IMAGE_SIZE_TYPES),
                "geometry": "squash",
                # Minimum overlap of neighbouring tiles, as a fraction of a tile.
                "tile_overlap": 0.25,
                # Fraction of the good training images held out for thresholds, such as 0.1; which
                # ones follows from train.seed and their names.
                "validation": 0.0,
                # Defective values of a mask: above "half" of white (RD4AD), a number from 1 to 255
                # or more, "any" but 0, or "auto", which reads all masks and takes "half" unless
                # values under it mark defects of their own.
                "mask_threshold": FieldReference("auto", field_type=MASK_THRESHOLD_TYPES),
                # A mask is turned by its "own" EXIF orientation, by that of its "image", or is
                # "upright" already.
                "mask_orientation": "own",
                # The value that is white in grey images of more than 8 bits, such as 4095 for 12
                # bits in a file of 16. "type" is the type's own; "auto" is decided from the
                # training images when a run starts, and kept as a number. See docs/data.md.
                "full_scale": FieldReference("type", field_type=FULL_SCALE_TYPES),
                # Width times height of an image, at most; larger ones are refused unread.
                "max_pixels": MAX_PIXELS,
                # Accept images of different sizes, which the resize then scales differently.
                "allow_mixed_sizes": False,
                # If an image or its mask cannot be read: "fail" ends the command, "skip" leaves the
                # image out and lists it, up to 5 % of a split.
                "on_error": "fail",
                # Decoded images stay in memory up to this many 10^9 bytes; larger sets are decoded
                # again each time.
                "memory_budget_gb": 4.0,
                # Processes that decode training images over the budget; 0 uses threads instead.
                "num_workers": 0,
            },
            "teacher": {
                # resnet18, resnet34, resnet50, wide_resnet50_2 or wide_resnet101_2.
                "arch": "wide_resnet50_2",
                # Path of a .pth or .safetensors file; "" or "imagenet" takes torchvision's
                # IMAGENET1K_V1 from the cache, or downloads it; "procedural" is the small teacher
                # in the package (a resnet18 with stem_width 32); "random" is untrained, for tests.
                "weights": "",
                # Channels of the first convolution: 64 in torchvision's networks; other widths need
                # matching weights.
                "stem_width": 64,
            },
            "model": {
                # "reverse_distillation", or a relative: "stfpm", whose student has the teacher's
                # own shape and sees the image.
                "name": "reverse_distillation",
            },
            "loss": {
                # Weight of the variance loss; 0 is plain reverse distillation.
                "lambda_var": 0.1,
                # Decoder stages of the variance loss: any of d1, d2, d3, such as d1+d2.
                "stages": ("d1",),
                # "cosine", "l1" or "l2", with "mean" or "sum" over the dimensions for l1 and l2.
                "distance": "cosine",
                "reduction": "mean",
                # Treat the mean feature vector as a constant.
                "stop_gradient_mean": False,
                # Cosine of teacher and student: one per image and scale ("flat"), or one at each
                # position ("pixel").
                "distillation": "flat",
            },
            "train": {
                "epochs": 200,
                "batch_size": 16,
                "seed": 0,
                "learning_rate": 0.005,
                # "adam", or "sgd" with beta1 as its momentum.
                "optimiser": "adam",
                "beta1": 0.5,
                "beta2": 0.999,
                # Times the parameters, added to the gradient.
                "weight_decay": 0.0,
                # Compute the teacher's features of the training set once and keep them on each
                # device: "on", "off", or "auto" for on if they fit into the budget, in 10^9 bytes
                # per device.
                "cache_features": "auto",
                "cache_budget_gb": 4.0,
                # End training once ten epochs lower the mean loss of the ten before by less than
                # this fraction; 0: never.
                "level_off": 0.0,
                # Folds that score the training images, for a threshold: each by a student that was
                # trained on the other folds, for as many epochs. 0: none.
                "folds": 0,
                # Steps per call of the device. On a GPU more than 1 can be faster if steps are
                # short; on CPU it is many times slower.
                "steps_per_call": 1,
                "log_every_steps": 10,
                "checkpoint_every_epochs": 10,
                # 0: the test set is not scored during training.
                "evaluate_every_epochs": 0,
                # Metric that selects the best checkpoint: "train_loss", or "oracle_image_auroc",
                # "oracle_pixel_auroc" or "oracle_aupro", which use test labels.
                "best_metric": "train_loss",
            },
            "compute": {
                # Precision of the networks: "float32", "tf32" or "bfloat16"; see docs/numerics.md.
                "precision": "tf32",
            },
            "score": {
                "batch_size": 16,
                # Standard deviation of the map's Gaussian blur, in pixels.
                "sigma": 4.0,
                # An image's score: the "max" of its map (RD4AD), or the mean of the map's highest
                # pixels, given as a share of all such as 0.01.
                "pooling": FieldReference("max", field_type=POOLING_TYPES),
                # A picture of pixels that never count: all that are not black, in images of its
                # aspect. The run keeps a copy for later commands; "none" removes it.
                "ignore": "",
                # Pixels, of the image's own size, that a region above the pixel threshold has at
                # least; an image without such a region is good, whatever its score.
                "min_area": 0,
            },
            "parallel": {
                # "pmap" or "shard_map".
                "mode": "pmap",
                # 0: all devices of all processes.
                "num_devices": 0,
            },
            "distributed": {
                # Several processes that train one run (docs/multihost.md). Set all three of these,
                # or auto to read them from the cluster's environment.
                "coordinator": "",  # host:port on which process 0 listens
                "num_processes": 1,
                "process_id": -1,  # of this process, from 0
                "auto": False,
                # Seconds of silence after which a process counts as lost and the job ends.
                "lost_after_seconds": 60,
                # Seconds that processes wait for one another at the start.
                "connect_seconds": 300,
            },
            "report": {
                # Number of figures that rdvar evaluate writes, worst errors first.
                "max_figures": 40,
            },
            "logging": {
                # Write TensorBoard event files (extra "tensorboard").
                "tensorboard": False,
            },
        }
    )
    return config.lock()  # a misspelt setting is an error


def resolved(config: Config) -> Config:
    """Returns a normalised copy: absolute paths, single stage names, one number for a square."""
    config = config.copy_and_resolve_references()
    config.loss.stages = stages(config)
    config.data.good_names = good_names(config)
    size = config.data.image_size
    if isinstance(size, tuple) and len(set(size)) == 1 and len(size) == 2:
        with config.data.ignore_type():
            config.data.image_size = size[0]
    if config.data.root:
        config.data.root = str(Path(config.data.root).expanduser().absolute())
    for name in ("good", "bad"):
        paths = (str(Path(path).expanduser().absolute()) for path in config.data[name])
        config.data[name] = tuple(paths)
    if config.data.good and not config.data.category:
        config.data.category = category_name([Path(path) for path in config.data.good])
    if config.teacher.weights == "imagenet":
        config.teacher.weights = ""
    if config.score.ignore not in ("", NO_IGNORE):
        config.score.ignore = str(Path(config.score.ignore).expanduser().absolute())
    if config.teacher.weights not in WEIGHTS_BY_NAME:
        config.teacher.weights = str(Path(config.teacher.weights).expanduser().absolute())
    return config


def with_full_scale(config: Config, full_scale: int | str) -> Config:
    """Returns a copy in which a number or "type" replaces `data.full_scale=auto`."""
    if config.data.full_scale != AUTO_FULL_SCALE:
        return config
    config = config.copy_and_resolve_references()
    with config.data.ignore_type():
        config.data.full_scale = full_scale
    return config


def stages(config: Config) -> tuple[str, ...]:
    """Returns loss.stages as single names; the command line passes "d1,d2" or "d1+d2" as one."""
    names = (name for item in config.loss.stages for name in item.replace("+", ",").split(","))
    return tuple(name.strip().lower() for name in names)


def good_names(config: Config) -> tuple[str, ...]:
    """data.good_names as single names; the command line gives "good,OK" as one."""
    names = (name.strip() for item in config.data.good_names for name in item.split(","))
    return tuple(dict.fromkeys(name for name in names if name))


def flatten(config: Config) -> dict[str, Any]:
    """Returns dotted names to values, as they come back from JSON."""
    values = json.loads(config.to_json())
    return {f"{section}.{name}": v for section in values for name, v in values[section].items()}


def determining_settings(config: Config) -> dict[str, Any]:
    """Returns the settings that the trained parameters depend on, which resuming cannot change."""
    return {
        name: value
        for name, value in flatten(config).items()
        if name not in RESUMABLE and name.split(".")[0] not in RESUMABLE_SECTIONS
    }


def config_from_json(text: str) -> Config:
    """Reads the output of `ConfigDict.to_json`; settings missing there take their default.

    Raises:
        ConfigError: unknown names, or a value of the wrong type.
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
