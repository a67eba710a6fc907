"""Plain layout: a folder of good images, optionally with test images and masks.

    CATEGORY/*.png, CATEGORY/good/*.png, CATEGORY/train/*.png or CATEGORY/train/good/*.png
    CATEGORY/test/*.png                           optional: images without labels, or
    CATEGORY/test/<defect or good>/*.png          optional: with labels
    CATEGORY/ground_truth/ or CATEGORY/masks/     optional: a mask for each defective image, in the
                                                  folders of `test`, named <stem> or <stem>_mask

Masks label unlabelled test images: an image with a mask is defective, the others are good.
"""

import dataclasses
from pathlib import Path

from rdvar_jax.data.sets.layouts import by_defect
from rdvar_jax.data.sets.listing import (
    Complain,
    folder_entries,
    image_suffixes,
    images_in,
    warn_left_out,
)
from rdvar_jax.data.sets.records import GOOD, UNLABELLED, Category, ImageRecord

TRAIN = ("train/good", "train", "good")
MASKS = ("ground_truth", "masks")
ENDINGS = ("_mask", "")


def find(folder: Path, complain: Complain) -> Category:
    """Finds the category in `folder`, possibly without test images.

    Complains where there is no good image, or where the labels are ambiguous.
    """
    test = _test_images(folder, complain) if (folder / "test").is_dir() else ()
    train = _training_images(folder, complain)
    return Category(folder.name, folder, train, test, layout="folder")


def _training_images(folder: Path, complain: Complain) -> tuple[ImageRecord, ...]:
    good = next((folder / name for name in TRAIN if (folder / name).is_dir()), None)
    entries = folder_entries(folder)
    _warn_of_unknown_folders(folder, good, entries.folders)
    if good is None and not entries.images:
        complain(
            f"The folder {folder} holds no image ({image_suffixes()}) and neither good nor train; "
            f"put the good images into {folder / 'good'}."
        )
    if good is None:
        return tuple(by_defect.record(folder, path, GOOD) for path in entries.images)
    if entries.images:
        complain(
            f"Both {folder} and {good} hold images, so it is unclear which are the good ones; move "
            f"all good images to {good}."
        )
    return by_defect.good_images(folder, good, complain)


def _warn_of_unknown_folders(folder: Path, good: Path | None, folders: list[Path]) -> None:
    """Warns about folders that have no meaning here, such as `bad` beside `good`."""
    known = {"test", *MASKS} if (folder / "test").is_dir() else set()
    if good is not None:
        known.add(good.relative_to(folder).parts[0])
    warn_left_out(folder, [path for path in folders if path.name not in known])
    if good is not None and good.parent != folder:
        beside = folder_entries(good.parent)
        warn_left_out(good.parent, beside.images + [one for one in beside.folders if one != good])


def _test_images(folder: Path, complain: Complain) -> tuple[ImageRecord, ...]:
    test = folder / "test"
    masks = [name for name in MASKS if (folder / name).is_dir()]
    if len(masks) > 1:
        complain(f"{folder} holds both {' and '.join(masks)}; keep one of them.")
    names = by_defect.Names(masks=masks[0] if masks else MASKS[0], mask_endings=ENDINGS)
    entries = folder_entries(test)
    if not entries.images:
        return by_defect.test_images(folder, names, complain)
    if entries.folders:
        complain(
            f"{test} holds both images and folders, so the labels of the images are unknown; move "
            f"them into {test / GOOD} or a defect's folder."
        )
    images = images_in(test)
    if not masks:
        return tuple(
            dataclasses.replace(by_defect.record(folder, path, "unlabelled"), label=UNLABELLED)
            for path in images
        )
    finder = by_defect.MaskFinder(
        by_defect.masks_by_stem(folder / masks[0], complain), ENDINGS, complain
    )
    records = []
    for path in images:
        mask = finder.find(path)
        records.append(by_defect.record(folder, path, "defective" if mask else GOOD, mask))
    for mask in finder.unused:
        complain(
            f"The mask {mask} matches no image in {test}; add the image, or remove or rename "
            "the mask."
        )
    return tuple(records)
