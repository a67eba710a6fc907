"""BTAD (Mishra et al. 2021): `ok` and `ko` folders, masks named by their images' stems.

CATEGORY/train/ok/*.bmp
CATEGORY/test/<ok or ko>/*.bmp
CATEGORY/ground_truth/ko/<stem>.png
"""

from pathlib import Path

from rdvar_jax.data.sets.layouts import by_defect
from rdvar_jax.data.sets.listing import Complain
from rdvar_jax.data.sets.records import Category

NAMES = by_defect.Names(train="train/ok", good="ok", mask_endings=("",))


def find(folder: Path, complain: Complain) -> Category:
    """Finds the category in `folder`; problems as in `find_category`."""
    return Category(
        name=folder.name,
        folder=folder,
        train=by_defect.training_images(folder, NAMES, complain),
        test=by_defect.test_images(folder, NAMES, complain),
        layout="btad",
    )
