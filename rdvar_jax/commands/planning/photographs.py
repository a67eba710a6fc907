"""Photographs to train on: found, looked at, and described in a few lines."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rdvar_jax.commands.planning.plan import Photographs
from rdvar_jax.data.loading.diagnostics import counted
from rdvar_jax.data.loading.scan import ImageStats, examine_all
from rdvar_jax.data.pixels.aspect import MAX_SQUASH, aspect_change
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.reading import as_reading
from rdvar_jax.data.sets.feedback import find_feedback
from rdvar_jax.data.sets.listing import some_names
from rdvar_jax.data.sets.photos import labelled_folder
from rdvar_jax.data.sets.records import Category
from rdvar_jax.errors import ConfigError, DataError
from rdvar_jax.runs.config import Config, resolved
from rdvar_jax.runs.data_checks import find_data
from rdvar_jax.scoring.thresholds import images_for_mean, images_needed

FEWEST = 4  # good images, of which folds leave three to train on


def with_photographs(config: Config, good: Sequence[Path], bad: Sequence[Path]) -> Config:
    """Returns a copy of the settings that names the photographs.

    A single folder that is a data set with a layout of its own, such as MVTec AD's, is taken as
    that: its test images are then the known defects.

    Raises:
        ConfigError: such a folder is given among others, or with defects.
    """
    config = config.copy_and_resolve_references()
    reasons = {path: reason for path in good if (reason := labelled_folder(path)) is not None}
    if reasons and (len(good) > 1 or bad):
        path, reason = next(iter(reasons.items()))
        raise ConfigError(
            f"{path} is a data set with a layout of its own ({reason}); give it alone, or name its "
            "folders of good images instead."
        )
    if reasons:
        folder = good[0].absolute()
        config.data.root, config.data.category = str(folder.parent), folder.name
    else:
        config.data.good = tuple(map(str, good))
        config.data.bad = tuple(map(str, bad))
    return resolved(config)


def with_feedback(
    good: Sequence[Path], bad: Sequence[Path], folders: Sequence[Path]
) -> tuple[list[Path], list[Path]]:
    """Adds images that were labelled while a run was in use; see `find_feedback`.

    Raises:
        DataError: a folder has no labelled images.
    """
    found = [find_feedback(folder) for folder in folders]
    return (
        [*good, *(path for folder, _ in found for path in folder)],
        [*bad, *(path for _, folder in found for path in folder)],
    )


def look_at(config: Config) -> tuple[Photographs, list[str]]:
    """Decodes each photograph once.

    Returns:
        What a plan depends on, and lines on what was found.

    Raises:
        UserError: the photographs cannot be used, or are too few.
    """
    category = find_data(config)
    reading = as_reading("type", config.data.max_pixels)
    records = (*category.train, *category.test)
    found = examine_all(records, Geometry("squash", 32, 32, 0, reading), "half", lambda _: None)
    good, others = found[: len(category.train)], found[len(category.train) :]
    readable = [one for one in good if one.size_wh is not None]
    if len(readable) < FEWEST:
        unreadable = [one.problem for one in good if one.problem is not None]
        raise DataError(
            f"{len(readable)} readable good photographs are too few; take {FEWEST} or more"
            f"{f' ({unreadable[0]})' if unreadable else ''}."
        )
    sizes = Counter(one.size_wh for one in readable)
    size = sizes.most_common(1)[0][0]
    assert size is not None
    num_bad = sum(record.label == 1 for record in category.test)
    lines = [_first_line(category, readable, num_bad), *_remarks(found, good, others, size)]
    return Photographs(len(readable), num_bad, size), lines


def permitted(number: int, target: float) -> str:
    """Says what a number of good images permits, before they are trained on."""
    bound = f"and a bound that holds with 95 % confidence needs {images_needed(target, 0.95)}"
    if number >= images_needed(target, 0.95):
        bound = "and for a bound that holds with 95 % confidence (--confidence 0.95)"
    if number >= images_for_mean(target):
        return (
            f"{number} good photographs are enough for a threshold that on average "
            f"{100 * target:.3g} % of new good ones exceed, {bound}"
        )
    best = 100 / (number + 1)
    return (
        f"{number} good photographs permit a threshold that on average {best:.1f} % of new good "
        f"ones exceed, at best; {100 * target:.3g} % need {images_for_mean(target)}, {bound}"
    )


def _first_line(category: Category, good: Sequence[ImageStats], num_bad: int) -> str:
    sizes = _counted(["{}x{}".format(*one.size_wh or ()) for one in good])
    kinds = len({record.defect for record in category.test if record.label == 1})
    bad = f"; {num_bad} known defects of {_number(kinds, 'kind')}" if num_bad else ""
    tests = sum(record.label == 0 for record in category.test)
    tests = f"; {tests} good ones to test with" if tests else ""
    pixels = _counted([one.pixels for one in good])
    return f"{_number(len(good), 'good photograph')} of {sizes} pixels, {pixels}{bad}{tests}"


def _counted(values: Sequence[str]) -> str:
    """Counts values, unless all are equal."""
    return values[0] if len(set(values)) == 1 else counted(values)


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _remarks(
    found: Sequence[ImageStats],
    good: Sequence[ImageStats],
    others: Sequence[ImageStats],
    size_wh: tuple[int, int],
) -> list[str]:
    lines = [f"left out: {one.problem}" for one in found if one.problem is not None][:5]
    first: dict[bytes, str] = {}
    copies = []
    for one in found:
        if one.digest and first.setdefault(one.digest, one.record.name) != one.record.name:
            copies.append(f"{one.record.name} (as {first[one.digest]})")
    if copies:
        lines.append(f"{len(copies)} with the pixels of another one: {some_names(copies)}")
    aspect = size_wh[0] / size_wh[1]
    odd = [
        one.record.name
        for one in found
        if one.size_wh and aspect_change(one.size_wh[0] / one.size_wh[1], aspect) > MAX_SQUASH
    ]
    if odd:
        lines.append(
            f"{len(odd)} have another aspect than {size_wh[0]}x{size_wh[1]} and are squashed to "
            f"it: {some_names(odd)}"
        )
    return lines
