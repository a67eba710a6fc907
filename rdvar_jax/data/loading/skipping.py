"""Unreadable images are left out with data.on_error=skip, up to a small share of a split."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rdvar_jax.data.sets.records import HasPath
from rdvar_jax.errors import DataError

ON_ERROR = ("fail", "skip")
MAX_SHARE = 0.05  # of a split; more is not an accident of single files

_logger = logging.getLogger("rdvar_jax")


@dataclass(frozen=True)
class Skipped:
    """An image that was left out, and why."""

    name: str
    reason: str


def leave_out(
    records: Sequence[HasPath], failures: Mapping[int, DataError], split: str
) -> tuple[Skipped, ...]:
    """Warns how many images of a split are left out.

    Args:
        records: all images of the split.
        failures: why some cannot be used, by their index in `records`.
        split: the name to use in messages, such as "train".

    Returns:
        The skipped images, in the order of the records.

    Raises:
        DataError: more than MAX_SHARE of the split failed.
    """
    skipped = tuple(Skipped(records[i].name, str(failures[i])) for i in sorted(failures))
    if not skipped:
        return ()
    number = f"{len(skipped)} of {len(records)} {split} images"
    if len(skipped) > MAX_SHARE * len(records):
        raise DataError(
            f"{number} cannot be used, more than the {MAX_SHARE:.0%} that data.on_error=skip may "
            f"leave out; fix them, starting with this one: {skipped[0].reason}"
        )
    _logger.warning("left out %s (data.on_error=skip), such as: %s", number, skipped[0].reason)
    return skipped
