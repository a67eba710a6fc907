"""`rdvar inspect`: checks a data set without training on it and without JAX."""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from rdvar_jax.data.loading.diagnostics import (
    counted,
    duplicates,
    kinds,
    mask_lines,
    mask_problems,
    problems_of,
    remarks_of,
)
from rdvar_jax.data.loading.full_scale import decide_full_scale
from rdvar_jax.data.loading.mask_survey import choose_threshold
from rdvar_jax.data.loading.scan import ImageStats, examine_all
from rdvar_jax.data.loading.tiles import count_inputs
from rdvar_jax.data.pixels.aspect import squash_remark
from rdvar_jax.data.pixels.geometry import Geometry, as_geometry
from rdvar_jax.data.pixels.mask_rule import MaskThreshold
from rdvar_jax.data.pixels.reading import as_reading
from rdvar_jax.data.pixels.set_remarks import SetRemarks, images_of
from rdvar_jax.data.sets.folder import detect_layout, find_category
from rdvar_jax.data.sets.records import Category
from rdvar_jax.data.sets.tfds_read import find_packed
from rdvar_jax.data.sets.validation import split_validation
from rdvar_jax.errors import ConfigError, DataError, one_line
from rdvar_jax.report.contact_sheet import (
    COLUMNS,
    SIDE,
    Picture,
    Row,
    draw_contact_sheet,
    save_contact_sheet,
)
from rdvar_jax.runs.config import Config, good_names
from rdvar_jax.runs.data_checks import EMPTY_ROOT, data_problems, one_of
from rdvar_jax.weights.architectures import ARCHITECTURES, find_architecture, get_architecture

MAX_DUPLICATES = 20


@dataclass
class Inspection:
    """Result of an inspection."""

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # training or evaluation would refuse it

    @property
    def text(self) -> str:
        return "\n".join(one_line(line) for line in self.lines)


def inspect_set(config: Config, output: Path | None = None) -> Inspection:
    """Decodes every image of the set once and reports on it.

    Args:
        config: only the section `data`, and settings that memory depends on, are read.
        output: PNG file or folder for a contact sheet.

    Raises:
        UserError: the settings cannot be used, or the contact sheet cannot be written.
    """
    _check_settings(config)
    sheet_path = None if output is None else _sheet_path(config, output)
    data = config.data
    result = Inspection()
    with _warnings() as warnings:
        category = _find(config, result)
        if category is not None:
            geometry = _geometry(config, category)
            choice = choose_threshold(category.test, data.mask_threshold, reading=geometry.reading)
            facts = _examine(category, geometry, choice.threshold, data.mask_orientation)
            result.problems += problems_of(facts, geometry, data.on_error, data.allow_mixed_sizes)
            result.problems += mask_problems(choice)
            result.lines += _table(facts) + _pixels(geometry, facts)
            result.lines += mask_lines(facts, choice, data.mask_threshold)
            try:
                result.lines += _memory(config, geometry, facts)
            except DataError as error:  # an image is smaller than a tile
                result.problems.append(str(error))
            warnings += remarks_of(facts, data.on_error, choice) + _squashed(geometry, facts)
            warnings += _levels(geometry, facts)
            warnings += _duplicates(facts)
            if sheet_path is not None:
                title = f"{data.category} ({category.layout})"
                save_contact_sheet(sheet_path, draw_contact_sheet(title, _rows(facts)))
                result.lines += ["", f"contact sheet: {sheet_path}"]
    for title, sentences in (("remarks", warnings), ("problems", result.problems)):
        if sentences:
            result.lines += ["", f"{title} ({len(sentences)}):"]
            result.lines += [f"  - {sentence}" for sentence in sentences]
    if not result.problems:
        result.lines += ["", "no problems"]
    return result


def _check_settings(config: Config) -> None:
    problems = data_problems(config)
    if find_architecture(config.teacher.arch) is None:
        problems += one_of("teacher.arch", config.teacher.arch, tuple(ARCHITECTURES))
    if not config.data.root:
        problems.append(EMPTY_ROOT)
    if problems:
        raise ConfigError(*problems)


def _geometry(config: Config, category: Category) -> Geometry:
    data, size = config.data, as_geometry(config.data.image_size)
    full_scale = decide_full_scale(data.full_scale, category.train, data.max_pixels)
    reading = as_reading(full_scale, data.max_pixels)
    return Geometry(data.geometry, size.height, size.width, data.tile_overlap, reading)


def _sheet_path(config: Config, output: Path) -> Path:
    if output.resolve().is_relative_to(Path(config.data.root).resolve()):
        raise DataError(
            f"--output {output} is inside data.root={config.data.root}, so the sheet would be "
            "taken for an image; give a path outside of it."
        )
    if output.suffix.lower() == ".png":
        return output
    return output / f"{config.data.category}_contact_sheet.png"


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Collects log messages, so that they appear in the report and not before it."""
    found: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        found.append(record.getMessage())
        return False

    logger = logging.getLogger("rdvar_jax")
    logger.addFilter(keep)
    try:
        yield found
    finally:
        logger.removeFilter(keep)


def _find(config: Config, result: Inspection) -> Category | None:
    data = config.data
    root = Path(data.root)
    try:
        if data.source == "tfds":
            category = find_packed(root, data.category)
        else:
            category = find_category(
                root, data.category, data.layout, result.problems.append, good_names(config)
            )
    except DataError as error:
        result.problems.append(str(error))
        return None
    detected, reason = detect_layout(category.folder, good_names(config))
    if data.source == "tfds":
        why = "named by data.source"
    elif data.layout == "auto":
        why = f"detected: {reason}"
    elif detected != data.layout:
        why = f"named by data.layout; {detected} would have been detected: {reason}"
    else:
        why = "named by data.layout"
    result.lines += [f"{data.category} in {root}", f"layout {category.layout} ({why})", ""]
    try:
        return split_validation(category, data.validation, config.train.seed)
    except DataError as error:
        result.problems.append(str(error))
        return category


def _examine(
    category: Category, geometry: Geometry, mask_threshold: MaskThreshold, orientation: str
) -> dict[str, list[ImageStats]]:
    """Returns the statistics of all images by split, with thumbnails for the sheet."""
    splits = {"train": category.train, "validation": category.validation, "test": category.test}
    records = [record for of_split in splits.values() for record in of_split]
    names = [(split, one.defect) for split, of_split in splits.items() for one in of_split]
    shown = set()
    for name in set(names):
        places = [index for index, other in enumerate(names) if other == name]
        shown.update(places[i] for i in _evenly(len(places)))
    found = iter(
        examine_all(
            records,
            geometry,
            mask_threshold,
            lambda index: SIDE if index in shown else None,
            orientation=orientation,
        )
    )
    return {split: [next(found) for _ in of_split] for split, of_split in splits.items()}


def _evenly(number: int) -> list[int]:
    """Returns at most COLUMNS of 0 ... number - 1, evenly spaced."""
    return sorted(
        set(np.linspace(0, number - 1, min(COLUMNS, number)).round().astype(int).tolist())
    )


def _table(facts: dict[str, list[ImageStats]]) -> list[str]:
    lines = [f"{'split':12s}{'kind':28s}{'images':>8s}{'masks':>8s}"]
    for split, found in facts.items():
        for kind, of_kind in kinds(found):
            masks = sum(one.record.mask_path is not None for one in of_kind)
            number = f"{masks:8d}" if of_kind[0].record.label else ""
            lines.append(f"{split:12s}{kind:28s}{len(of_kind):8d}{number}")
        if not found and split != "validation":
            lines.append(f"{split:12s}{'-':28s}{0:8d}")
    return [line.rstrip() for line in lines]


def _pixels(geometry: Geometry, facts: dict[str, list[ImageStats]]) -> list[str]:
    everything = [one for found in facts.values() for one in found]
    read = [one for one in everything if one.size_wh is not None]
    masked = [one for one in everything if one.record.mask_path is not None]
    defective = [one for one in everything if one.record.label > 0]
    usable = [one for one in masked if one.problem is None]
    return [
        "",
        f"sizes       {counted('{}x{}'.format(*one.size_wh or ()) for one in read) or '-'}",
        f"pixels      {counted(one.pixels for one in read) or '-'}",
        f"unreadable  {len(everything) - len(read)} of {len(everything)} images",
        f"masks       {len(masked)} of {len(defective)} defective images have one; "
        f"{len(masked) - len(usable)} cannot be used, {sum(one.has_empty_mask for one in usable)} "
        f"are empty at {geometry}",
    ]


def _memory(config: Config, geometry: Geometry, facts: dict[str, list[ImageStats]]) -> list[str]:
    """Returns the line on the memory of images and teacher features."""
    teacher, pixels = config.teacher, geometry.height * geometry.width
    numbers = {
        split: count_inputs([one.record for one in found], geometry)
        for split, found in facts.items()
    }
    images = ", ".join(f"{split} {n * pixels * 3 / 1e9:.3g} GB" for split, n in numbers.items())
    half = config.compute.precision == "bfloat16"
    values = get_architecture(teacher.arch).num_features(teacher.stem_width, pixels)
    features = numbers["train"] * values * (2 if half else 4)
    return [
        f"memory      images of {geometry}: {images}; teacher features of the training images "
        f"{features / 1e9:.3g} GB ({teacher.arch}; train.cache_budget_gb="
        f"{config.train.cache_budget_gb:g})"
    ]


def _squashed(geometry: Geometry, facts: dict[str, list[ImageStats]]) -> list[str]:
    """Returns the remark about the most frequent size that is squashed, if any."""
    sizes = Counter(one.size_wh for found in facts.values() for one in found if one.size_wh)
    remarks = (squash_remark(size, geometry) for size, _ in sizes.most_common())
    return [remark for remark in remarks if remark is not None][:1]


def _levels(geometry: Geometry, facts: dict[str, list[ImageStats]]) -> list[str]:
    """Returns remarks on the grey values of files of more than 8 bits."""
    sentences = []
    for split, found in facts.items():
        remarks = SetRemarks(images_of(split), geometry)
        for one in found:
            if one.facts is not None:
                remarks.note(one.record.path, one.facts)
        sentences += remarks.new()
    return sentences


def _duplicates(facts: dict[str, list[ImageStats]]) -> list[str]:
    lines = []
    for (first, second), groups in duplicates(facts).items():
        where = f"within {first}" if first == second else f"in {first} and {second}"
        for group in groups[:MAX_DUPLICATES]:
            lines.append(f"the same pixels {where}: {', '.join(record.name for record in group)}")
        if len(groups) > MAX_DUPLICATES:
            lines.append(f"the same pixels {where}: {len(groups) - MAX_DUPLICATES} more groups")
    return lines


def _rows(facts: dict[str, list[ImageStats]]) -> list[Row]:
    rows = []
    for split, found in facts.items():
        for kind, of_kind in kinds(found):
            shown = [of_kind[index] for index in _evenly(len(of_kind))]
            title = f"{split} / {kind}: {len(shown)} of {len(of_kind)}"
            rows.append(Row(title, [_picture(one) for one in shown]))
    return rows


def _picture(one: ImageStats) -> Picture:
    remark = ""
    if one.problem is not None:
        remark = "unreadable" if one.size_wh is None else "mask not usable"
    elif one.record.label > 0 and one.record.mask_path is None:
        remark = "no mask"
    elif one.has_empty_mask:
        remark = "mask empty once resized"
    small, name = one.thumbnail, PurePosixPath(one.record.name).name
    if small is None:
        return Picture(name, None, remark=remark)
    return Picture(name, small.pixels, small.mask, remark)
