"""What several layouts share: one folder a kind of defect, and masks in a tree beside it."""

import logging
from dataclasses import dataclass
from pathlib import Path

from rdvar_jax.data.listing import folder_entries, image_suffixes, images_in, warn_left_out
from rdvar_jax.data.records import GOOD, ImageRecord
from rdvar_jax.errors import DataError

_logger = logging.getLogger("rdvar_jax")


@dataclass(frozen=True)
class Names:
    """What the folders of a layout are called, inside the category's folder."""

    train: str = "train/good"
    test: str = "test"
    good: str = GOOD  # the folder of good images in `test`
    masks: str = "ground_truth"
    validation: str = "validation/good"
    mask_endings: tuple[str, ...] = ("_mask",)  # between a mask's stem and its suffix
    mask_folders: tuple[str, ...] = ()  # kinds whose images have a folder of masks each
    mask_nonzero: bool = False


def training_images(folder: Path, names: Names) -> tuple[ImageRecord, ...]:
    """The good images to train on.

    Raises:
        DataError: there are none.
    """
    good = folder / names.train
    if not good.is_dir():
        raise DataError(
            f"The folder {good} does not exist; put the category's good training images there."
        )
    beside = folder_entries(good.parent)
    if good.parent != folder:
        strangers = [path for path in beside.folders if path.name != good.name]
        warn_left_out(good.parent, beside.images + strangers + beside.others)
    return good_images(folder, good)


def good_images(folder: Path, good: Path) -> tuple[ImageRecord, ...]:
    """The records of a folder of good images; it must hold one."""
    images = images_in(good)
    if not images:
        raise DataError(
            f"The folder {good} holds no image ({image_suffixes()}); put the category's good "
            "training images there."
        )
    return tuple(record(folder, path, GOOD) for path in images)


def validation_images(folder: Path, names: Names) -> tuple[ImageRecord, ...]:
    """The good images that the set itself keeps from training, where it does."""
    good = folder / names.validation
    if not good.is_dir():
        return ()
    return tuple(record(folder, path, GOOD) for path in images_in(good))


def test_images(folder: Path, names: Names) -> tuple[ImageRecord, ...]:
    """Good and defective images, sorted by name.

    Where there is no folder of masks at all, the set is one without masks and a warning says so;
    where there is one, every defective image must have its mask.

    Raises:
        DataError: there is no image, or images and masks do not belong to one another.
    """
    test = folder / names.test
    where = f"{test / names.good} and one folder for each kind of defect beside it"
    if not test.is_dir():
        raise DataError(
            f"The folder {test} does not exist; put the test images into {where}, or set "
            "data.layout=folder to train without test images."
        )
    entries = folder_entries(test)
    warn_left_out(test, entries.images + entries.others)
    masks = folder / names.masks
    records: list[ImageRecord] = []
    defects: list[str] = []
    for kind in entries.folders:
        if kind == masks:
            continue
        images = images_in(kind)
        if kind.name == names.good:
            records += [record(folder, path, GOOD) for path in images]
        elif masks.is_dir():
            defects.append(kind.name)
            records += _with_masks(folder, names, kind.name, images)
        else:
            records += [record(folder, path, kind.name) for path in images]
    if not records:
        raise DataError(
            f"The folders of {test} hold no image ({image_suffixes()}); put the test images into "
            f"{where}."
        )
    if masks.is_dir():
        _check_other_mask_folders(folder, names, defects)
    return tuple(sorted(records, key=lambda one: one.name))


def record(
    folder: Path, path: Path, defect: str, mask: Path | None = None, nonzero: bool = False
) -> ImageRecord:
    """The record of an image in the category's folder."""
    name = path.relative_to(folder).as_posix()
    return ImageRecord(path, name, int(defect != GOOD), defect, mask, nonzero)


def _with_masks(folder: Path, names: Names, defect: str, images: list[Path]) -> list[ImageRecord]:
    """Pair the images of one kind of defect with their masks, one to one."""
    masks = _masks_by_stem(folder / names.masks / defect, names)
    records = []
    for path in images:
        found = [masks[key] for end in names.mask_endings if (key := path.stem + end) in masks]
        if not found:
            expected = folder / names.masks / defect / f"{path.stem}{names.mask_endings[0]}.png"
            raise DataError(
                f"The defective image {path} has no mask; add {expected}, or move the image to "
                f"{folder / names.test / names.good} if nothing is wrong with it."
            )
        records.append(record(folder, path, defect, found[0], names.mask_nonzero))
    used = {one.mask_path for one in records}
    _check_no_orphan(folder, names, [path for path in masks.values() if path not in used])
    return records


def _masks_by_stem(folder: Path, names: Names) -> dict[str, Path]:
    masks: dict[str, Path] = {}
    if not folder.is_dir():
        return masks
    if folder.name in names.mask_folders:
        return {f"{path.name}{names.mask_endings[0]}": path for path in folder_entries(folder)[1]}
    for path in images_in(folder):
        if path.stem in masks:
            raise DataError(
                f"The files {masks[path.stem]} and {path} are masks of the same image; remove one "
                "of them."
            )
        masks[path.stem] = path
    return masks


def _check_other_mask_folders(folder: Path, names: Names, defects: list[str]) -> None:
    """Masks of a defect that `test` does not know; those of good images mean nothing."""
    masks = folder / names.masks
    entries = folder_entries(masks)
    warn_left_out(masks, entries.images + entries.others)
    for kind in entries.folders:
        if kind.name not in (*defects, names.good):
            _check_no_orphan(folder, names, list(_masks_by_stem(kind, names).values()))


def _check_no_orphan(folder: Path, names: Names, masks: list[Path]) -> None:
    if masks:
        mask = masks[0]
        stem = mask.stem.removesuffix(names.mask_endings[0])
        expected = folder / names.test / mask.parent.name / f"{stem}{mask.suffix}"
        raise DataError(
            f"The mask {mask} belongs to no test image; add the image (such as {expected}), or "
            "remove or rename the mask."
        )
