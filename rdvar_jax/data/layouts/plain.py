"""The plain case: a folder of good images, and what there is beside it.

    CATEGORY/*.png, CATEGORY/good/*.png, CATEGORY/train/*.png or CATEGORY/train/good/*.png
    CATEGORY/test/*.png                           optional: images without labels, or
    CATEGORY/test/<defect or good>/*.png          optional: with labels
    CATEGORY/ground_truth/ or CATEGORY/masks/     optional: a mask for each defective image, in the
                                                  folders of `test`, named <stem> or <stem>_mask

Unlabelled test images with masks beside them are labelled by these: an image that has one is
defective, the others are good.
"""

import dataclasses
from pathlib import Path

from rdvar_jax.data.layouts import by_defect
from rdvar_jax.data.listing import folder_entries, image_suffixes, images_in
from rdvar_jax.data.records import GOOD, UNLABELLED, Category, ImageRecord
from rdvar_jax.errors import DataError

TRAIN = ("train/good", "train", "good")
MASKS = ("ground_truth", "masks")
ENDINGS = ("_mask", "")


def find(folder: Path) -> Category:
    """The category in `folder`; its test images may be none.

    Raises:
        DataError: there is no good image, or it is not clear what is what.
    """
    test = _test_images(folder) if (folder / "test").is_dir() else ()
    return Category(folder.name, folder, _training_images(folder), test, layout="folder")


def _training_images(folder: Path) -> tuple[ImageRecord, ...]:
    good = next((folder / name for name in TRAIN if (folder / name).is_dir()), None)
    loose = folder_entries(folder).images
    if good is None and not loose:
        raise DataError(
            f"The folder {folder} holds no image ({image_suffixes()}) and neither good nor train; "
            f"put the good images into {folder / 'good'}."
        )
    if good is None:
        return tuple(by_defect.record(folder, path, GOOD) for path in loose)
    if loose:
        raise DataError(
            f"Images lie both in {folder} and in {good}, and which are the good ones cannot be "
            f"known; move all good images to {good}."
        )
    return by_defect.good_images(folder, good)


def _test_images(folder: Path) -> tuple[ImageRecord, ...]:
    test = folder / "test"
    masks = [name for name in MASKS if (folder / name).is_dir()]
    if len(masks) > 1:
        raise DataError(f"{folder} holds both {' and '.join(masks)}; keep one of them.")
    names = by_defect.Names(masks=masks[0] if masks else MASKS[0], mask_endings=ENDINGS)
    entries = folder_entries(test)
    if not entries.images:
        return by_defect.test_images(folder, names)
    if entries.folders:
        raise DataError(
            f"{test} holds both images and folders, so the labels of the images are not known; "
            f"move them into {test / GOOD} or a defect's folder."
        )
    images = images_in(test)
    if not masks:
        return tuple(
            dataclasses.replace(by_defect.record(folder, path, "unlabelled"), label=UNLABELLED)
            for path in images
        )
    by_stem = {path.stem: path for path in images_in(folder / masks[0])}
    records = []
    for path in images:
        found = [by_stem.pop(key) for end in ENDINGS if (key := path.stem + end) in by_stem]
        defect = "defective" if found else GOOD
        records.append(by_defect.record(folder, path, defect, found[0] if found else None))
    if by_stem:
        mask = next(iter(by_stem.values()))
        raise DataError(
            f"The mask {mask} belongs to no image of {test}; add the image, or remove or rename "
            "the mask."
        )
    return tuple(records)
