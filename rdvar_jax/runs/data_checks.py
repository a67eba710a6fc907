"""Checks of the section `data` and of the set that it names, without JAX.

Each function returns one sentence for each problem, with the fix.
"""

from pathlib import Path

from rdvar_jax.data.loading.sampling_order import steps_at_epoch
from rdvar_jax.data.loading.skipping import ON_ERROR
from rdvar_jax.data.loading.tiles import count_inputs
from rdvar_jax.data.pixels.geometry import MODES, Geometry
from rdvar_jax.data.pixels.mask_file import ORIENTATIONS
from rdvar_jax.data.pixels.mask_rule import threshold_problems
from rdvar_jax.data.pixels.reading import Reading, reading_problems
from rdvar_jax.data.sets.folder import LAYOUTS
from rdvar_jax.data.sets.photos import find_photos
from rdvar_jax.data.sets.records import Category
from rdvar_jax.data.sets.source import SOURCES, find_images
from rdvar_jax.data.sets.validation import split_validation
from rdvar_jax.errors import ConfigError, DataError
from rdvar_jax.models.image_size import SIZE_MULTIPLE, height_width
from rdvar_jax.runs.config import Config, good_names

MOST = 2**31 - 1  # of whole numbers, unless a setting has a limit of its own
MOST_GB = 1e9
MOST_IMAGES = 1 << 16  # of a batch
MOST_WORKERS = 1024
LARGEST_SIDE = 1 << 14  # of an image: one map takes 1 GB
MAX_OVERLAP = 0.9  # gives 100 times as many tiles as no overlap

EMPTY_ROOT = "data.root is empty; give the folder of categories with --config.data.root=FOLDER."


def one_of(name: str, value: str, choices: tuple[str, ...]) -> list[str]:
    """Checks that a value is one of the choices."""
    return [] if value in choices else [f"{name}={value} is not one of {', '.join(choices)}."]


def in_range(
    name: str, value: float, least: float, most: float = MOST, advice: str = ""
) -> list[str]:
    """Checks that a number is in a range; NaN is in none."""
    if least <= value <= most:
        return []
    return [f"{name}={value} must be at least {least:.15g} and at most {most:.15g}{advice}."]


def data_problems(config: Config) -> list[str]:
    """Checks the section `data` without reading from disk."""
    data = config.data
    problems = _size_problems(data.image_size)
    problems += one_of("data.geometry", data.geometry, MODES)
    if not 0 <= data.tile_overlap <= MAX_OVERLAP:
        problems.append(
            f"data.tile_overlap={data.tile_overlap} must be at least 0 and at most {MAX_OVERLAP}."
        )
    if data.geometry == "tile" and data.allow_mixed_sizes:
        problems.append(
            "data.allow_mixed_sizes=True cannot be used with data.geometry=tile, which keeps "
            "images at their own size; omit it, or use another geometry."
        )
    problems += threshold_problems(data.mask_threshold)
    problems += one_of("data.mask_orientation", data.mask_orientation, ORIENTATIONS)
    problems += reading_problems(data.full_scale, data.max_pixels)
    problems += one_of("data.on_error", data.on_error, ON_ERROR)
    problems += in_range("data.memory_budget_gb", data.memory_budget_gb, 0, MOST_GB)
    problems += in_range("data.num_workers", data.num_workers, 0, MOST_WORKERS)
    if not 0 <= data.validation < 1:
        problems.append(f"data.validation={data.validation} must be at least 0 and under 1.")
    problems += one_of("data.layout", data.layout, LAYOUTS)
    for name in good_names(config):
        if Path(name).name != name:
            problems.append(
                f"data.good_names={','.join(good_names(config))} must hold names of folders, not "
                f"paths; use {Path(name).name or 'good'} for {name}."
            )
    return problems + one_of("data.source", data.source, SOURCES)


def _size_problems(size: int | tuple[int, ...]) -> list[str]:
    sides = size if isinstance(size, tuple) else (size,)
    if isinstance(size, tuple) and (len(size) != 2 or not all(type(side) is int for side in size)):
        return [f"data.image_size={size} must be one whole number, or two, height and width."]
    if any(side > LARGEST_SIDE for side in sides):
        return [f"data.image_size={size} must be at most {LARGEST_SIDE}; RD4AD uses 256."]
    if all(side >= SIZE_MULTIPLE and side % SIZE_MULTIPLE == 0 for side in sides):
        return []
    near = ",".join(
        str(max(SIZE_MULTIPLE, round(side / SIZE_MULTIPLE) * SIZE_MULTIPLE)) for side in sides
    )
    what = "must be a multiple" if len(sides) == 1 else "must be two multiples"
    return [
        f"data.image_size={size} {what} of {SIZE_MULTIPLE}, or the decoder's maps do not fit the "
        f"teacher's; use {near}."
    ]


def number_problems(config: Config, category: Category) -> list[str]:
    """Checks that images fill a batch, and that test images exist if training scores them."""
    every = config.train.evaluate_every_epochs
    problems = []
    if every > 0 and not category.test:
        problems.append(
            f"train.evaluate_every_epochs={every} needs test images, and {category.folder} has "
            "none; add some, or set it to 0."
        )
    data, num_images = config.data, len(category.train)
    if data.geometry == "tile":
        if _size_problems(data.image_size) or not 0 <= data.tile_overlap <= MAX_OVERLAP:
            return problems  # reported elsewhere
        size, reading = height_width(data.image_size), Reading(max_pixels=data.max_pixels)
        geometry = Geometry("tile", *size, data.tile_overlap, reading)
        try:
            num_images = count_inputs(category.train, geometry)
        except DataError as error:
            return [*problems, str(error)]
    return problems + steps_problems(config, num_images)


def steps_problems(config: Config, num_images: int) -> list[str]:
    """Checks that this many images fill at least one batch."""
    train = config.train
    if not (1 <= train.epochs <= MOST and 1 <= train.batch_size <= MOST_IMAGES):
        return []  # reported elsewhere
    num_steps = steps_at_epoch(num_images, train.batch_size, train.epochs)
    if num_steps > MOST:  # the state counts steps in int32
        return [
            f"train.epochs={train.epochs} of {num_images} images are {num_steps} steps, over the "
            f"limit of {MOST}; use fewer epochs."
        ]
    if num_steps > 0:
        return []
    return [
        f"train.epochs={train.epochs} of {num_images} images fill no batch of "
        f"train.batch_size={train.batch_size}; use more epochs or a smaller batch."
    ]


def find_category(config: Config) -> tuple[Category | None, list[str]]:
    """Finds the category's images, with those of `data.validation` held out from training.

    Returns:
        The category, or None if the settings or the folder cannot be used, and one sentence for
        each problem.
    """
    data = config.data
    problems = data_problems(config)
    wrong = " ".join(problems)
    if any(f"data.{name}=" in wrong for name in ("validation", "layout", "source", "good_names")):
        return None, problems
    if data.good and (data.root or data.source != SOURCES[0]):
        return None, [*problems, "data.good and data.root both name images; give one of them."]
    if not data.good and not data.root:
        return None, [*problems, EMPTY_ROOT]
    if not data.category:
        return None, [
            *problems,
            "data.category is empty; name it after the config file, as in --config FILE:CATEGORY.",
        ]
    try:
        if data.good:
            category = find_photos([Path(p) for p in data.good], [Path(p) for p in data.bad])
        else:
            category = find_images(
                Path(data.root), data.category, data.layout, data.source, good_names(config)
            )
        return split_validation(category, data.validation, config.train.seed), problems
    except DataError as error:
        return None, [*problems, str(error)]


def find_data(config: Config) -> Category:
    """Same as `find_category`, but raises if the set cannot be used.

    Raises:
        ConfigError: one sentence for each problem.
    """
    category, problems = find_category(config)
    if category is None:
        raise ConfigError(*problems)
    return category
