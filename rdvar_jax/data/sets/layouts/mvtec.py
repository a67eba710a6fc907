"""MVTec AD (Bergmann et al. 2019), and its successors, which differ in names alone.

    CATEGORY/train/good/*.png
    CATEGORY/test/<defect or good>/*.png
    CATEGORY/ground_truth/<defect>/<stem>_mask.png

MVTec LOCO AD has `validation/good`, and a folder of masks for each defective image. MVTec AD 2 has
`validation/good`, `test_public` in place of `test`, and the masks inside it; its private test sets
have no labels and are left out.
"""

from pathlib import Path

from rdvar_jax.data.sets.layouts import by_defect
from rdvar_jax.data.sets.listing import Complain
from rdvar_jax.data.sets.records import Category

AD = by_defect.Names()
LOCO_KINDS = ("logical_anomalies", "structural_anomalies")
LOCO = by_defect.Names(mask_endings=("",), mask_folders=LOCO_KINDS, mask_nonzero=True)
AD_2 = by_defect.Names(test="test_public", masks="test_public/ground_truth")


def find(folder: Path, complain: Complain) -> Category:
    """Finds the category in `folder`; problems as in `find_category`."""
    names = AD
    if (folder / AD_2.test).is_dir():
        names = AD_2
    elif any((folder / "test" / kind).is_dir() for kind in LOCO_KINDS):
        names = LOCO
    return Category(
        name=folder.name,
        folder=folder,
        train=by_defect.training_images(folder, names, complain),
        test=by_defect.test_images(folder, names, complain),
        validation=by_defect.validation_images(folder, names),
        layout="mvtec",
    )
