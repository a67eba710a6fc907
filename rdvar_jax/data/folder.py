"""Find the images and masks of one category in a folder laid out as MVTec AD is.

The layout (MVTec AD, Bergmann et al. 2019; RD4AD reads the same one):

    ROOT/<category>/train/good/*.png
    ROOT/<category>/test/<defect or good>/*.png
    ROOT/<category>/ground_truth/<defect>/<stem>_mask.png

Nothing is opened here. What does not fit the layout is an error where a wrong result could follow
and a logged warning where it could not: a folder that is silently misread is worse than either.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from rdvar_jax.errors import DataError

GOOD = "good"
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")

_logger = logging.getLogger("rdvar_jax")
_MAX_NAMES_SHOWN = 15


class HasPath(Protocol):
    """An image file, whatever else is known of it: ImageRecord, InputImage."""

    @property
    def path(self) -> Path: ...


@dataclass(frozen=True)
class ImageRecord:
    """One image file: where it lies and what its folder says about it."""

    path: Path
    name: str  # relative to the category's folder, with forward slashes: "test/hole/000.png"
    label: int  # 0 good, 1 defective; from the folder's name, never from the mask
    defect: str  # the folder's name, "good" included
    mask_path: Path | None  # None exactly where the label is 0


@dataclass(frozen=True)
class Category:
    """The images of one category, each tuple sorted by `ImageRecord.name`."""

    name: str
    folder: Path
    train: tuple[ImageRecord, ...]
    test: tuple[ImageRecord, ...]
    validation: tuple[ImageRecord, ...] = ()  # good images that training never sees


class FolderEntries(NamedTuple):
    """What lies in a folder, each list sorted by name, hidden entries left away."""

    images: list[Path]
    folders: list[Path]
    others: list[Path]


def list_categories(root: Path) -> list[str]:
    """Names of the categories in `root`, sorted: every folder that holds a `train` folder.

    Raises:
        DataError: `root` is no folder, or cannot be listed.
    """
    folders = folder_entries(_check_root(root)).folders
    return [folder.name for folder in folders if (folder / "train").is_dir()]


def find_category(root: Path, category: str) -> Category:
    """The training and test images of `category`, with a mask for every defective test image.

    Any folder of `root` can be a category. Masks may have any of the image suffixes. Images of
    `train` are all good. Files that are no images are left out with a warning, hidden ones without.

    Raises:
        DataError: `root` or the category is missing, `train/good` or `test` holds no image, a
            defective test image has no mask or two, or a mask has no image.
    """
    root = _check_root(root)
    folder = _category_folder(root, category)
    train = _train_records(folder)
    test = _test_records(folder)
    return Category(name=category, folder=folder, train=train, test=test)


def _check_root(root: Path) -> Path:
    root = Path(root).expanduser()
    if not root.is_dir():
        raise DataError(
            f"data.root: there is no folder {root}; set data.root to the folder that holds the "
            "categories."
        )
    return root


def _category_folder(root: Path, category: str) -> Path:
    # Compared with the names in the folder, and not only opened: "", ".", "a/b" and, where the
    # file system ignores case, "Screw" would open a folder too, under a name nobody else uses.
    for folder in folder_entries(root).folders:
        if folder.name == category:
            return folder
    problem = f"data.category: there is no category {category!r} in data.root={root}"
    if (root / "train").is_dir():
        parent, name = root.absolute().parent, root.absolute().name
        raise DataError(
            f"{problem}, which is itself a category's folder; set data.root={parent} and "
            f"data.category={name}."
        )
    names = list_categories(root)
    if not names:
        raise DataError(
            f"{problem}, which holds no category at all; set data.root to the folder whose "
            "sub-folders hold train/good and test."
        )
    raise DataError(f"{problem}; set data.category to one of: {some_names(names)}.")


def _train_records(folder: Path) -> tuple[ImageRecord, ...]:
    good = folder / "train" / GOOD
    if not good.is_dir():
        raise DataError(
            f"The folder {good} does not exist; put the category's good training images there."
        )
    beside = folder_entries(good.parent)
    strangers = [path for path in beside.folders if path.name != GOOD]
    _warn_left_out(good.parent, beside.images + strangers + beside.others)
    images = _images_in(good)
    if not images:
        raise DataError(
            f"The folder {good} holds no image ({image_suffixes()}); put the category's good "
            "training images there."
        )
    return tuple(_record(folder, path, mask_path=None) for path in images)


def _test_records(folder: Path) -> tuple[ImageRecord, ...]:
    test = folder / "test"
    if not test.is_dir():
        raise DataError(
            f"The folder {test} does not exist; put the test images into {test / GOOD} and one "
            "folder for each kind of defect beside it."
        )
    entries = folder_entries(test)
    _warn_left_out(test, entries.images + entries.others)
    records: list[ImageRecord] = []
    defects: list[str] = []
    for kind in entries.folders:
        images = _images_in(kind)
        if kind.name == GOOD:
            records += [_record(folder, path, mask_path=None) for path in images]
        else:
            defects.append(kind.name)
            records += _defective_records(folder, kind.name, images)
    if not records:
        raise DataError(
            f"The folders of {test} hold no image ({image_suffixes()}); put the test images into "
            f"{test / GOOD} and one folder for each kind of defect beside it."
        )
    _check_other_mask_folders(folder, defects)
    return tuple(sorted(records, key=lambda record: record.name))


def _defective_records(folder: Path, defect: str, images: list[Path]) -> list[ImageRecord]:
    """Pair the images of one kind of defect with their masks, one to one."""
    masks = _masks_by_stem(folder, defect)
    records = []
    for path in images:
        mask_path = masks.get(f"{path.stem}_mask")
        if mask_path is None:
            expected = folder / "ground_truth" / defect / f"{path.stem}_mask.png"
            raise DataError(
                f"The defective image {path} has no mask; add {expected}, or move the image to "
                f"{folder / 'test' / GOOD} if nothing is wrong with it."
            )
        records.append(_record(folder, path, mask_path))
    used = {record.mask_path for record in records}
    _check_no_orphan(folder, [path for path in masks.values() if path not in used])
    return records


def _masks_by_stem(folder: Path, defect: str) -> dict[str, Path]:
    masks: dict[str, Path] = {}
    mask_folder = folder / "ground_truth" / defect
    for path in _images_in(mask_folder) if mask_folder.is_dir() else []:
        if path.stem in masks:
            raise DataError(
                f"The files {masks[path.stem]} and {path} are masks of the same image; remove one "
                "of them."
            )
        masks[path.stem] = path
    return masks


def _check_other_mask_folders(folder: Path, defects: list[str]) -> None:
    """Masks of a defect that `test` does not know; `ground_truth/good`, if any, means nothing."""
    ground_truth = folder / "ground_truth"
    if not ground_truth.is_dir():
        return
    entries = folder_entries(ground_truth)
    _warn_left_out(ground_truth, entries.images + entries.others)
    for mask_folder in entries.folders:
        if mask_folder.name not in (*defects, GOOD):
            _check_no_orphan(folder, _images_in(mask_folder))


def _check_no_orphan(folder: Path, masks: list[Path]) -> None:
    if masks:
        mask = masks[0]
        stem = mask.stem.removesuffix("_mask")
        expected = folder / "test" / mask.parent.name / f"{stem}{mask.suffix}"
        raise DataError(
            f"The mask {mask} belongs to no test image; add the image (such as {expected}), or "
            "remove or rename the mask."
        )


def _record(folder: Path, path: Path, mask_path: Path | None) -> ImageRecord:
    defect = path.parent.name
    return ImageRecord(
        path=path,
        name=path.relative_to(folder).as_posix(),
        label=int(defect != GOOD),
        defect=defect,
        mask_path=mask_path,
    )


def _images_in(folder: Path) -> list[Path]:
    entries = folder_entries(folder)
    # Left out, not refused: systems and labelling tools drop files of their own beside images
    # (Thumbs.db, desktop.ini, notes.txt), and none of them can change a result. They are named in
    # a warning all the same, because a .webp or a sub-folder was perhaps meant to be read.
    _warn_left_out(folder, entries.folders + entries.others)
    return entries.images


def folder_entries(folder: Path) -> FolderEntries:
    entries = FolderEntries([], [], [])
    try:
        # Hidden files include the "._000.png" that macOS writes beside 000.png on foreign disks.
        for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
            if path.is_dir():
                entries.folders.append(path)
            elif path.suffix.lower() in IMAGE_SUFFIXES:
                entries.images.append(path)  # a broken link too: decoding it gives a clear error
            else:
                entries.others.append(path)
    except OSError as error:
        raise DataError(
            f"The folder {folder} cannot be listed ({error.strerror}); grant read access to it."
        ) from error
    return entries


def _warn_left_out(folder: Path, paths: list[Path]) -> None:
    if paths:
        names = some_names([path.name for path in paths])
        _logger.warning("%s: not used, because it is not part of the layout: %s", folder, names)


def some_names(names: list[str]) -> str:
    shown = ", ".join(names[:_MAX_NAMES_SHOWN])
    hidden = len(names) - _MAX_NAMES_SHOWN
    return f"{shown} and {hidden} more" if hidden > 0 else shown


def image_suffixes() -> str:
    return ", ".join(suffix.removeprefix(".") for suffix in IMAGE_SUFFIXES)
