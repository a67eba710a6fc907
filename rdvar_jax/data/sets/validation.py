"""Validation split: good training images that training never sees.

Thresholds are taken on them. They follow from the seed and the images' names alone, so every
command selects the same ones, on any machine and in any order of files.
"""

import dataclasses
import hashlib
import os

from rdvar_jax.data.sets.records import Category
from rdvar_jax.errors import DataError


def split_validation(category: Category, share: float, seed: int) -> Category:
    """Moves `share` of the training images to `validation`, both in name order.

    Takes the round(share * N) images with the smallest sha256 of seed and name, at least one where
    the share is above 0. So adding an image moves few of the others.

    Args:
        category: as found.
        share: in [0, 1); 0 changes nothing.
        seed: the run's seed.

    Raises:
        DataError: no image would be left to train on, or the category has validation images.
    """
    if share == 0:
        return category
    if category.validation:
        raise DataError(
            f"The category {category.name} has its own validation images "
            f"({category.validation[0].path.parent}); set data.validation=0 to use these."
        )
    number = max(1, round(share * len(category.train)))
    if number >= len(category.train):
        raise DataError(
            f"data.validation={share:g} of {len(category.train)} training images leaves none to "
            "train on; use a smaller share or more images."
        )
    ranked = sorted(
        category.train,
        key=lambda record: hashlib.sha256(b"%d\0%s" % (seed, os.fsencode(record.name))).digest(),
    )
    taken = {record.name for record in ranked[:number]}
    return dataclasses.replace(
        category,
        train=tuple(record for record in category.train if record.name not in taken),
        validation=tuple(record for record in category.train if record.name in taken),
    )
