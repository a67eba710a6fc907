"""Finds a category's images and masks in a folder of any known layout.

No image is opened here. What does not fit the layout is an error where it could lead to a wrong
result, else a logged warning: a folder that is silently misread is worse than either.
"""

from contextlib import suppress
from pathlib import Path

from rdvar_jax.data.sets.layouts import btad, mvtec, plain, visa
from rdvar_jax.data.sets.listing import Complain, folder_entries, refuse, some_names
from rdvar_jax.data.sets.records import GOOD, Category
from rdvar_jax.data.sets.records import HasPath as HasPath
from rdvar_jax.data.sets.records import ImageRecord as ImageRecord
from rdvar_jax.errors import DataError

FINDERS = {"mvtec": mvtec.find, "visa": visa.find, "btad": btad.find, "folder": plain.find}
LAYOUTS = ("auto", *FINDERS)


def list_categories(root: Path) -> list[str]:
    """Returns the categories in `root`, sorted: those in VisA's list, else the folders with a
    `train` or `good` folder.

    Raises:
        DataError: `root` is not a folder, or cannot be listed.
    """
    root = _check_root(root)
    if (root / visa.SPLIT).is_file():
        return visa.categories(root)
    folders = folder_entries(root).folders
    return [
        folder.name
        for folder in folders
        if (folder / "train").is_dir() or (folder / "good").is_dir()
    ]


def find_category(
    root: Path,
    category: str,
    layout: str = "auto",
    complain: Complain = refuse,
    good_names: tuple[str, ...] = (GOOD,),
) -> Category:
    """Finds the images of `category`, each list sorted by name.

    Any folder of `root` can be a category, and so can `root` itself, by its own name, where it
    holds images. Masks may have any of the image suffixes. Training images are all good. Files that
    are not images are left out with a warning, hidden ones without.

    Args:
        root: the folder of categories.
        category: the name of one.
        layout: one of LAYOUTS; "auto" detects it (`detect_layout`).
        complain: called with each problem. By default the first is raised; otherwise the result
            holds what could be found in spite of them.
        good_names: folders of good images, beside those that the layout itself has.

    Raises:
        DataError: `root` or the category is missing, there are no good images to train on, or
            images and masks do not match as the layout requires, or a folder of test images
            looks good by its name and is not one of `good_names`.
    """
    root = _check_root(root)
    folder = _category_folder(root, category)
    if layout == "auto":
        layout = detect_layout(folder, good_names)[0]
    return FINDERS[layout](folder, complain, good_names)


def detect_layout(folder: Path, good_names: tuple[str, ...] = (GOOD,)) -> tuple[str, str]:
    """Detects the layout of a category's folder; returns it and the reason.

    VisA has its list, BTAD `ok`, MVTec AD `train`. A folder with none of these, or with images
    directly in `train`, is a plain one.
    """
    if (folder.parent / visa.SPLIT).is_file():
        return "visa", f"{visa.SPLIT} is beside it"
    train = folder / "train"
    if (train / "good").is_dir():
        return "mvtec", "it has train/good"
    if (train / "ok").is_dir():
        return "btad", "it has train/ok"
    if train.is_dir() and folder_entries(train).images:
        return "folder", "images are directly in train"
    if train.is_dir():
        return "mvtec", "it has train"
    for name in dict.fromkeys((GOOD, *good_names)):
        if (folder / name).is_dir():
            return "folder", f"it has {name} and no train"
    if folder_entries(folder).images:
        return "folder", "images are directly in it"
    return "mvtec", "no other layout matches"


def _check_root(root: Path) -> Path:
    root = Path(root).expanduser()
    if not root.is_dir():
        raise DataError(
            f"data.root: there is no folder {root}; set data.root to the folder that holds the "
            "categories."
        )
    return root


def _category_folder(root: Path, category: str) -> Path:
    # Compared with the folder's names, not only opened: "", ".", "a/b" and, where the file system
    # ignores case, "Screw" would open a folder too, under an alias.
    for folder in folder_entries(root).folders:
        if folder.name == category:
            return folder
    problem = f"data.category: there is no category {category!r} in data.root={root}"
    parent, name = root.absolute().parent, root.absolute().name
    holds_images = bool(folder_entries(root).images)
    if holds_images and category == name:
        return root.absolute()
    names = list_categories(root) or _with_images(root)
    if (root / "train").is_dir() or (holds_images and not names):
        raise DataError(
            f"{problem}, which is itself a category's folder; set data.root={parent} and "
            f"data.category={name}."
        )
    if not names:
        raise DataError(
            f"{problem}, which holds no categories but {describe_entries(root)}; set data.root to "
            f"{_inner_root(root) or 'the folder whose sub-folders hold train/good and test'}."
        )
    raise DataError(f"{problem}; set data.category to one of: {some_names(names)}.")


def describe_entries(root: Path) -> str:
    """Returns what is directly in a folder, as text for a message."""
    entries = folder_entries(root)
    parts = [
        f"the {what} {some_names([path.name for path in paths])}"
        for what, paths in (
            ("folders", entries.folders),
            ("images", entries.images),
            ("files", entries.others),
        )
        if paths
    ]
    return " and ".join(parts) or "nothing at all"


def _with_images(root: Path) -> list[str]:
    return [one.name for one in folder_entries(root).folders if folder_entries(one).images]


def _inner_root(root: Path) -> Path | None:
    """Returns a folder in `root` that holds categories: a set unpacked into its own folder."""
    for folder in folder_entries(root).folders:
        with suppress(DataError):
            if list_categories(folder):
                return folder
    return None
