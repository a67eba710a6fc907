"""The section `data`: the image size, and whether the images are there."""

from pathlib import Path

from rdvar_jax.data.loading.sampling_order import steps_at_epoch
from rdvar_jax.data.loading.skipping import ON_ERROR
from rdvar_jax.data.loading.tiles import count_inputs
from rdvar_jax.data.pixels.geometry import MODES, Geometry
from rdvar_jax.data.sets.folder import LAYOUTS
from rdvar_jax.data.sets.records import Category
from rdvar_jax.data.sets.source import SOURCES, find_images
from rdvar_jax.data.sets.validation import split_validation
from rdvar_jax.errors import DataError
from rdvar_jax.models.architectures import SIZE_MULTIPLE, height_width
from rdvar_jax.runs.checks.rules import at_least, one_of
from rdvar_jax.runs.config import Config

MAX_OVERLAP = 0.9  # 100 tiles where there is 1 without


def check_data(config: Config, *, check_steps: bool, is_optional: bool = False) -> list[str]:
    """The category is found; with `check_steps` its images fill at least one batch."""
    data = config.data
    problems = _check_size(data.image_size)
    problems += one_of("data.geometry", data.geometry, MODES)
    if not 0 <= data.tile_overlap <= MAX_OVERLAP:
        problems.append(
            f"data.tile_overlap={data.tile_overlap} must be at least 0 and at most {MAX_OVERLAP}."
        )
    if data.geometry == "tile" and data.allow_mixed_sizes:
        problems.append(
            "data.allow_mixed_sizes=True cannot be used with data.geometry=tile, which leaves "
            "images as large as they are; leave it out, or use another geometry."
        )
    problems += one_of("data.mask_threshold", data.mask_threshold, ("half", "any"))
    problems += one_of("data.on_error", data.on_error, ON_ERROR)
    if not data.memory_budget_gb >= 0:
        problems.append(f"data.memory_budget_gb={data.memory_budget_gb} must be 0 or more.")
    problems += at_least("data.num_workers", data.num_workers, 0)
    if not 0 <= data.validation < 1:
        problems.append(f"data.validation={data.validation} must be at least 0 and under 1.")
        return problems
    if data.layout not in LAYOUTS:
        return problems + one_of("data.layout", data.layout, LAYOUTS)
    if data.source not in SOURCES:
        return problems + one_of("data.source", data.source, SOURCES)
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
            category = find_images(Path(data.root), data.category, data.layout, data.source)
            category = split_validation(category, data.validation, config.train.seed)
        except DataError as error:
            problems.append(str(error))
        else:
            if check_steps:
                problems += _check_number(config, category)
                if config.train.evaluate_every_epochs > 0 and not category.test:
                    problems.append(
                        f"train.evaluate_every_epochs={config.train.evaluate_every_epochs} needs "
                        f"test images, and {category.folder} has none; add some, or set it to 0."
                    )
    return problems


def _check_size(size: int | tuple[int, ...]) -> list[str]:
    sides = size if isinstance(size, tuple) else (size,)
    if isinstance(size, tuple) and (len(size) != 2 or not all(type(side) is int for side in size)):
        return [f"data.image_size={size} must be one whole number, or two, height and width."]
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


def _check_number(config: Config, category: Category) -> list[str]:
    data, num_images = config.data, len(category.train)
    if data.geometry == "tile":
        if _check_size(data.image_size) or not 0 <= data.tile_overlap <= MAX_OVERLAP:
            return []  # said elsewhere
        geometry = Geometry("tile", *height_width(data.image_size), data.tile_overlap)
        try:
            num_images = count_inputs(category.train, geometry)
        except DataError as error:
            return [str(error)]
    return check_steps_of(config, num_images)


def check_steps_of(config: Config, num_images: int) -> list[str]:
    """So many images fill at least one batch."""
    train = config.train
    if train.epochs < 1 or train.batch_size < 1:
        return []  # said elsewhere
    if steps_at_epoch(num_images, train.batch_size, train.epochs) > 0:
        return []
    return [
        f"train.epochs={train.epochs} of {num_images} images fill no batch of "
        f"train.batch_size={train.batch_size}; use more epochs or a smaller batch."
    ]
