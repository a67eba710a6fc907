"""Layouts with one folder per kind of defect, and masks in a parallel tree."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rdvar_jax.data.pixels.image_formats import image_suffixes, is_image_name
from rdvar_jax.data.sets.good_names import ask_about, lookalikes, looks_good
from rdvar_jax.data.sets.listing import (
    Complain,
    folder_entries,
    images_in,
    some_names,
    stem_of,
    warn_left_out,
)
from rdvar_jax.data.sets.records import GOOD, ImageRecord
from rdvar_jax.errors import one_line

PLAIN_ENDINGS = ("_mask", "")  # of masks in a plain folder

_logger = logging.getLogger("rdvar_jax")


@dataclass(frozen=True)
class Names:
    """Folder names of a layout, inside the category's folder."""

    train: str = "train/good"
    test: str = "test"
    good: str = GOOD  # the folder of good images in `test`
    also_good: tuple[str, ...] = ()  # data.good_names, beside `good` in every split
    masks: str = "ground_truth"
    validation: str = "validation/good"
    mask_endings: tuple[str, ...] = ("_mask",)  # between a mask's stem and its suffix
    mask_folders: tuple[str, ...] = ()  # kinds of defect with a folder of masks per image
    mask_nonzero: bool = False

    @property
    def all_good(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.good, *self.also_good)))


def training_images(folder: Path, names: Names, complain: Complain) -> tuple[ImageRecord, ...]:
    """Returns the good training images; complains if there are none."""
    good = folder / names.train
    found = good_folders(good.parent, names.all_good)
    if not found:
        parent = good.parent if good.parent.is_dir() else folder
        alike = lookalikes(folder_entries(parent).folders, (*names.all_good, GOOD))
        way_out = "; put the category's good training images there"
        if alike:
            way_out = f", but {ask_about(alike, names.also_good)}"
        complain(f"The folder {good} does not exist{way_out}.")
        return ()
    beside = folder_entries(good.parent)
    other_folders = [path for path in beside.folders if path not in found]
    warn_of_unknown(good.parent, beside.images, other_folders, beside.others, names)
    return good_images(folder, found, names, complain)


def good_folders(parent: Path, names: Sequence[str]) -> list[Path]:
    """Returns the folders of these names in `parent`."""
    return [parent / name for name in names if (parent / name).is_dir()]


def warn_of_unknown(
    parent: Path, images: list[Path], folders: list[Path], others: list[Path], names: Names
) -> None:
    """Warns about what is beside the good images, and asks about folders that look good."""
    alike = lookalikes(folders, (*names.all_good, GOOD))
    warn_left_out(parent, images + [path for path in folders if path not in alike] + others)
    if alike:
        _logger.warning("not used: %s", one_line(ask_about(alike, names.also_good)))


def good_images(
    folder: Path, found: list[Path], names: Names, complain: Complain
) -> tuple[ImageRecord, ...]:
    """Returns the records of folders of good images, by name; complains if they are empty."""
    images = [path for good in found for path in images_in(good)]
    if not images:
        inside = folder_entries(found[0]).folders
        inner = some_names([path.name for path in inside])
        alike = lookalikes(inside, ())
        asked = f"{ask_about(alike, names.also_good)}, or " if alike else ""
        complain(
            f"The folder {found[0]} holds no image ({image_suffixes()})"
            f"{f', only folders ({inner}), which are not searched' if inner else ''}; {asked}put "
            "the category's good training images there."
        )
    records = (record(folder, path, GOOD) for path in images)
    return tuple(sorted(records, key=lambda one: one.name))


def validation_images(folder: Path, names: Names) -> tuple[ImageRecord, ...]:
    """Returns the good images that the set itself keeps from training, if any."""
    found = good_folders((folder / names.validation).parent, names.all_good)
    images = [path for good in found for path in images_in(good)]
    return tuple(sorted((record(folder, one, GOOD) for one in images), key=lambda one: one.name))


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
    alike: list[Path] = []
    has_masks = masks.is_dir() and holds_masks(masks)
    for kind in entries.folders:
        if kind == masks:
            continue
        images = images_in(kind)
        if not images:
            _logger.warning("%s: holds no image", one_line(str(kind)))
        if kind.name in names.all_good:
            records += [record(folder, path, GOOD) for path in images]
        elif images and looks_good(kind.name):
            alike.append(kind)
            records += [record(folder, path, GOOD) for path in images]
        elif has_masks:
            defects.append(kind.name)
            records += _with_masks(folder, names, kind.name, images, complain)
        else:
            records += [record(folder, path, kind.name) for path in images]
    if alike:
        # Taken for a defect, good images would count as missed ones.
        complain(f"{ask_about(alike, names.also_good)}.")
    if masks.is_dir() and not has_masks and any(one.label for one in records):
        complain(
            f"The folder {masks} holds no mask ({image_suffixes()}); put the masks there, or "
            "remove the folder to do without pixel metrics."
        )
    if masks.is_dir():
        known = [*defects, *names.all_good, *(kind.name for kind in alike)]
        _check_other_mask_folders(folder, names, known, complain)
    if not records:
        complain(
            f"The folders of {test} hold no image ({image_suffixes()}); put the test images into "
            f"{where}."
        )
    return tuple(sorted(records, key=lambda one: one.name))


def holds_masks(masks: Path) -> bool:
    """Whether there is an image at any depth."""
    return any(is_image_name(path) for path in masks.rglob("[!.]*"))


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
    endings = names.mask_endings
    other = _other_ending(images, masks, names)
    if other is not None:
        image, good = images[0], Path(names.train).name
        settings = "data.layout=folder"
        if good != GOOD:
            settings += f" data.good_names={','.join(dict.fromkeys((*names.also_good, good)))}"
        complain(
            f"The masks in {folder / names.masks / defect} are named like "
            f"{image.stem}{other}.png, not {image.stem}{endings[0]}.png; set {settings}, which "
            "takes either, or rename them."
        )
        endings = (other,)
    finder = MaskFinder(masks, endings, complain)
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


def _other_ending(images: list[Path], masks: dict[str, Path], names: Names) -> str | None:
    """Returns the ending of masks that are all named as another layout names them."""
    if len(names.mask_endings) != 1 or names.mask_folders or names.test != "test":
        return None  # data.layout=folder reads no such set
    stems = [stem_of(image) for image in images]
    if any(f"{stem}{names.mask_endings[0]}" in masks for stem in stems):
        return None
    others = [one for one in PLAIN_ENDINGS if one != names.mask_endings[0]]
    return next((end for end in others if any(stem + end in masks for stem in stems)), None)


def _masks_of_kind(folder: Path, names: Names, complain: Complain) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    if folder.name in names.mask_folders:
        return {f"{path.name}{names.mask_endings[0]}": path for path in folder_entries(folder)[1]}
    return masks_by_stem(folder, complain)


def _check_other_mask_folders(
    folder: Path, names: Names, known: list[str], complain: Complain
) -> None:
    """Complains of masks of a defect that `test` lacks; those of good images are ignored."""
    masks = folder / names.masks
    entries = folder_entries(masks)
    warn_left_out(masks, entries.images + entries.others)
    for kind in entries.folders:
        if kind.name not in known:
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
