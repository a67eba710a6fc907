"""Finds a category's images and masks in a folder of any known layout.

No image is opened here. What does not fit the layout is an error where it could lead to a wrong
result, else a logged warning: a folder that is silently misread is worse than either.
"""

from pathlib import Path

from rdvar_jax.data.sets.layouts import btad, mvtec, plain, visa
from rdvar_jax.data.sets.listing import Complain, folder_entries, refuse, some_names
from rdvar_jax.data.sets.records import Category
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
    root: Path, category: str, layout: str = "auto", complain: Complain = refuse
) -> Category:
    """Finds the images of `category`, each list sorted by name.

    Any folder of `root` can be a category. Masks may have any of the image suffixes. Training
    images are all good. Files that are not images are left out with a warning, hidden ones without.

    Args:
        root: the folder of categories.
        category: the name of one.
        layout: one of LAYOUTS; "auto" detects it (`detect_layout`).
        complain: called with each problem. By default the first is raised; otherwise the result
            holds what could be found in spite of them.

    Raises:
        DataError: `root` or the category is missing, there are no good images to train on, or
            images and masks do not match as the layout requires.
    """
    root = _check_root(root)
    folder = _category_folder(root, category)
    return FINDERS[detect_layout(folder)[0] if layout == "auto" else layout](folder, complain)


def detect_layout(folder: Path) -> tuple[str, str]:
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
    if (folder / "good").is_dir():
        return "folder", "it has good and no train"
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
    if (root / "train").is_dir():
        parent, name = root.absolute().parent, root.absolute().name
        raise DataError(
            f"{problem}, which is itself a category's folder; set data.root={parent} and "
            f"data.category={name}."
        )
    names = list_categories(root)
    if not names:
        raise DataError(
            f"{problem}, which holds no categories; set data.root to the folder whose "
            "sub-folders hold train/good and test."
        )
    raise DataError(f"{problem}; set data.category to one of: {some_names(names)}.")
