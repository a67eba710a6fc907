"""Decides `data.full_scale=auto` from a set's files."""

import logging
from collections.abc import Sequence

from rdvar_jax.data.loading.threads import in_threads
from rdvar_jax.data.pixels.image_file import grey_levels
from rdvar_jax.data.pixels.levels import fitting_full_scale, highest_grey
from rdvar_jax.data.pixels.reading import AUTO_FULL_SCALE, OWN_FULL_SCALE
from rdvar_jax.data.sets.records import HasPath
from rdvar_jax.errors import DataError

_logger = logging.getLogger("rdvar_jax")


def decide_full_scale(
    full_scale: int | str, records: Sequence[HasPath], max_pixels: int, *, progress: bool = True
) -> int | str:
    """Returns the full scale that "auto" means for training images; others as they are.

    Files of 8 bits are opened and not decoded; without others, the result is "type". Files that
    cannot be read are left to whoever loads them.
    """
    if full_scale != AUTO_FULL_SCALE:
        return full_scale
    failures: dict[int, DataError] = {}
    found = in_threads(
        lambda index: grey_levels(records[index].path, max_pixels),
        range(len(records)),
        "Finding the full scale",
        None,
        progress,
        failures,
    )
    highest = highest_grey(found.values())
    if highest is None:
        _logger.info("data.full_scale=auto: type, since no training image is grey of over 8 bits")
        return OWN_FULL_SCALE
    decided = fitting_full_scale(highest)
    _logger.info("data.full_scale=auto: %d, since the highest value is %d", decided, highest)
    return decided
