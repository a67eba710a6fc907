"""BTAD (Mishra et al. 2021): `ok` and `ko` folders, masks named by their images' stems.

CATEGORY/train/ok/*.bmp
CATEGORY/test/<ok or ko>/*.bmp
CATEGORY/ground_truth/ko/<stem>.png
"""

import dataclasses
from pathlib import Path

from rdvar_jax.data.sets.layouts import by_defect
from rdvar_jax.data.sets.listing import Complain
from rdvar_jax.data.sets.records import GOOD, Category

NAMES = by_defect.Names(train="train/ok", good="ok", mask_endings=("",))


def find(folder: Path, complain: Complain, good_names: tuple[str, ...]) -> Category:
    """Finds the category in `folder`; problems as in `find_category`."""
    names = dataclasses.replace(NAMES, also_good=good_names)
    # train/good, the default's name, is another layout's.
    own = dataclasses.replace(NAMES, also_good=tuple(one for one in good_names if one != GOOD))
    return Category(
        name=folder.name,
        folder=folder,
        train=by_defect.training_images(folder, own, complain),
        test=by_defect.test_images(folder, names, complain),
        layout="btad",
    )
