"""Layouts with one folder per kind of defect, and masks in a parallel tree."""

import logging
from dataclasses import dataclass
from pathlib import Path

from rdvar_jax.data.sets.listing import (
    Complain,
    folder_entries,
    image_suffixes,
    images_in,
    some_names,
    stem_of,
    warn_left_out,
)
from rdvar_jax.data.sets.records import GOOD, ImageRecord
from rdvar_jax.errors import one_line

_logger = logging.getLogger("rdvar_jax")


@dataclass(frozen=True)
class Names:
    """Folder names of a layout, inside the category's folder."""

    train: str = "train/good"
    test: str = "test"
    good: str = GOOD  # the folder of good images in `test`
    masks: str = "ground_truth"
    validation: str = "validation/good"
    mask_endings: tuple[str, ...] = ("_mask",)  # between a mask's stem and its suffix
    mask_folders: tuple[str, ...] = ()  # kinds of defect with a folder of masks per image
    mask_nonzero: bool = False


def training_images(folder: Path, names: Names, complain: Complain) -> tuple[ImageRecord, ...]:
    """Returns the good training images; complains if there are none."""
    good = folder / names.train
    if not good.is_dir():
        complain(
            f"The folder {good} does not exist; put the category's good training images there."
        )
        return ()
    if good.parent != folder:
        beside = folder_entries(good.parent)
        other_folders = [path for path in beside.folders if path.name != good.name]
        warn_left_out(good.parent, beside.images + other_folders + beside.others)
    return good_images(folder, good, complain)


def good_images(folder: Path, good: Path, complain: Complain) -> tuple[ImageRecord, ...]:
    """Returns the records of a folder of good images; complains if it is empty."""
    images = images_in(good)
    if not images:
        inner = some_names([path.name for path in folder_entries(good).folders])
        complain(
            f"The folder {good} holds no image ({image_suffixes()})"
            f"{f', only folders ({inner}), which are not searched' if inner else ''}; put the "
            "category's good training images there."
        )
    return tuple(record(folder, path, GOOD) for path in images)


def validation_images(folder: Path, names: Names) -> tuple[ImageRecord, ...]:
    """Returns the good images that the set itself keeps from training, if any."""
    good = folder / names.validation
    if not good.is_dir():
        return ()
    return tuple(record(folder, path, GOOD) for path in images_in(good))


def test_images(folder: Path, names: Names, complain: Complain) -> tuple[ImageRecord, ...]:
    """Returns good and defective images, sorted by name.

    Without a folder of masks the set has no masks; with one, every defective image must have its
    mask. Complains if there is no image, or if images and masks do not match.
    """
    test = folder / names.test
    where = f"{test / names.good} and one folder for each kind of defect beside it"
    if not test.is_dir():
        complain(
            f"The folder {test} does not exist; put the test images into {where}, or set "
            "data.layout=folder to train without test images."
        )
        return ()
    entries = folder_entries(test)
    warn_left_out(test, entries.images + entries.others)
    masks = folder / names.masks
    records: list[ImageRecord] = []
    defects: list[str] = []
    for kind in entries.folders:
        if kind == masks:
            continue
        images = images_in(kind)
        if not images:
            _logger.warning("%s: holds no image", one_line(str(kind)))
        if kind.name == names.good:
            records += [record(folder, path, GOOD) for path in images]
        elif masks.is_dir():
            defects.append(kind.name)
            records += _with_masks(folder, names, kind.name, images, complain)
        else:
            records += [record(folder, path, kind.name) for path in images]
    if masks.is_dir():
        _check_other_mask_folders(folder, names, defects, complain)
    if not records:
        complain(
            f"The folders of {test} hold no image ({image_suffixes()}); put the test images into "
            f"{where}."
        )
    return tuple(sorted(records, key=lambda one: one.name))


def record(
    folder: Path, path: Path, defect: str, mask: Path | None = None, nonzero: bool = False
) -> ImageRecord:
    """Makes the record of an image in the category's folder."""
    name = path.relative_to(folder).as_posix()
    return ImageRecord(path, name, int(defect != GOOD), defect, mask, nonzero)


class MaskFinder:
    """Finds each image's mask by its stem, and complains unless they match one to one."""

    def __init__(self, masks: dict[str, Path], endings: tuple[str, ...], complain: Complain):
        self._masks = masks
        self._endings = endings
        self._complain = complain
        self._used: dict[Path, Path] = {}

    def find(self, image: Path) -> Path | None:
        """Returns the mask of an image, or None."""
        stem = stem_of(image)
        found = [self._masks[stem + end] for end in self._endings if stem + end in self._masks]
        if len(found) > 1:
            self._complain(
                f"The files {found[0]} and {found[1]} are masks of the same image {image}; remove "
                "one of them."
            )
        for mask in found:
            other = self._used.setdefault(mask, image)
            if other != image:
                self._complain(
                    f"The images {other} and {image} have the same name, and so the same mask "
                    f"{mask}; give each its own name and mask."
                )
        return found[0] if found else None

    @property
    def unused(self) -> list[Path]:
        """Masks that match no image."""
        return [mask for mask in self._masks.values() if mask not in self._used]


def masks_by_stem(folder: Path, complain: Complain) -> dict[str, Path]:
    """Returns the masks directly in a folder by stem; complains about duplicates."""
    masks: dict[str, Path] = {}
    for path in images_in(folder):
        other = masks.setdefault(stem_of(path), path)
        if other != path:
            complain(
                f"The files {other} and {path} are masks of the same image; remove one of them."
            )
    return masks


def _with_masks(
    folder: Path, names: Names, defect: str, images: list[Path], complain: Complain
) -> list[ImageRecord]:
    """Pairs the images of one kind of defect with their masks, one to one."""
    masks = _masks_of_kind(folder / names.masks / defect, names, complain)
    finder = MaskFinder(masks, names.mask_endings, complain)
    records = []
    for path in images:
        mask = finder.find(path)
        if mask is None:
            expected = folder / names.masks / defect / f"{path.stem}{names.mask_endings[0]}.png"
            complain(
                f"The defective image {path} has no mask; add {expected}, or move the image to "
                f"{folder / names.test / names.good} if nothing is wrong with it."
            )
        records.append(record(folder, path, defect, mask, names.mask_nonzero))
    _complain_of_orphans(folder, names, finder.unused, complain)
    return records


def _masks_of_kind(folder: Path, names: Names, complain: Complain) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    if folder.name in names.mask_folders:
        return {f"{path.name}{names.mask_endings[0]}": path for path in folder_entries(folder)[1]}
    return masks_by_stem(folder, complain)


def _check_other_mask_folders(
    folder: Path, names: Names, defects: list[str], complain: Complain
) -> None:
    """Complains of masks of a defect that `test` lacks; those of good images are ignored."""
    masks = folder / names.masks
    entries = folder_entries(masks)
    warn_left_out(masks, entries.images + entries.others)
    for kind in entries.folders:
        if kind.name not in (*defects, names.good):
            orphans = list(_masks_of_kind(kind, names, complain).values())
            _complain_of_orphans(folder, names, orphans, complain)


def _complain_of_orphans(folder: Path, names: Names, masks: list[Path], complain: Complain) -> None:
    for mask in masks:
        stem = mask.stem.removesuffix(names.mask_endings[0])
        expected = folder / names.test / mask.parent.name / f"{stem}{mask.suffix}"
        complain(
            f"The mask {mask} matches no test image; add the image (such as {expected}), or "
            "remove or rename the mask."
        )
