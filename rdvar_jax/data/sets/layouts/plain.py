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

from rdvar_jax.data.pixels.image_formats import image_suffixes
from rdvar_jax.data.sets.good_names import ask_about, lookalikes
from rdvar_jax.data.sets.layouts import by_defect
from rdvar_jax.data.sets.listing import (
    Complain,
    folder_entries,
    images_in,
)
from rdvar_jax.data.sets.records import GOOD, UNLABELLED, Category, ImageRecord

MASKS = ("ground_truth", "masks")


def find(folder: Path, complain: Complain, good_names: tuple[str, ...]) -> Category:
    """Finds the category in `folder`, possibly without test images.

    Complains where there is no good image, or where the labels are ambiguous.
    """
    names = by_defect.Names(also_good=good_names, mask_endings=by_defect.PLAIN_ENDINGS)
    test = _test_images(folder, names, complain) if (folder / "test").is_dir() else ()
    train = _training_images(folder, names, complain)
    return Category(folder.name, folder, train, test, layout="folder")


def _training_images(
    folder: Path, names: by_defect.Names, complain: Complain
) -> tuple[ImageRecord, ...]:
    train = folder / "train"
    good = (
        by_defect.good_folders(train, names.all_good)
        or ([train] if train.is_dir() else [])
        or by_defect.good_folders(folder, names.all_good)
    )
    entries = folder_entries(folder)
    _warn_of_unknown_folders(folder, good, entries.folders, names)
    if not good and not entries.images:
        alike = lookalikes(entries.folders, names.all_good)
        complain(
            f"The folder {folder} holds no image ({image_suffixes()}) and neither good nor train; "
            f"{f'{ask_about(alike, names.also_good)}, or ' if alike else ''}put the good images "
            f"into {folder / GOOD}."
        )
    if not good:
        return tuple(by_defect.record(folder, path, GOOD) for path in entries.images)
    if entries.images:
        complain(
            f"Both {folder} and {good[0]} hold images, so it is unclear which are the good ones; "
            f"move all good images to {good[0]}."
        )
    return by_defect.good_images(folder, good, names, complain)


def _warn_of_unknown_folders(
    folder: Path, good: list[Path], folders: list[Path], names: by_defect.Names
) -> None:
    """Warns about folders that have no meaning here, such as `bad` beside `good`."""
    known = {"test", *MASKS} if (folder / "test").is_dir() else set()
    known.update(path.relative_to(folder).parts[0] for path in good)
    other_folders = [path for path in folders if path.name not in known]
    by_defect.warn_of_unknown(folder, [], other_folders, [], names)
    if good and good[0].parent != folder:
        beside = folder_entries(good[0].parent)
        other_folders = [path for path in beside.folders if path not in good]
        by_defect.warn_of_unknown(good[0].parent, beside.images, other_folders, [], names)


def _test_images(
    folder: Path, names: by_defect.Names, complain: Complain
) -> tuple[ImageRecord, ...]:
    test = folder / "test"
    masks = [name for name in MASKS if (folder / name).is_dir()]
    if len(masks) > 1:
        complain(f"{folder} holds both {' and '.join(masks)}; keep one of them.")
    names = dataclasses.replace(names, masks=masks[0] if masks else MASKS[0])
    entries = folder_entries(test)
    if not entries.images:
        return by_defect.test_images(folder, names, complain)
    if entries.folders:
        complain(
            f"{test} holds both images and folders, so the labels of the images are unknown; move "
            f"them into {test / GOOD} or a defect's folder."
        )
    images = images_in(test)
    if masks and not by_defect.holds_masks(folder / masks[0]):
        complain(
            f"The folder {folder / masks[0]} holds no mask, so that every image in {test} would "
            "count as good; put the masks there, or remove the folder."
        )
        masks = []
    if not masks:
        return tuple(
            dataclasses.replace(by_defect.record(folder, path, "unlabelled"), label=UNLABELLED)
            for path in images
        )
    finder = by_defect.MaskFinder(
        by_defect.masks_by_stem(folder / masks[0], complain), by_defect.PLAIN_ENDINGS, complain
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
