"""Describes for a reader where a prediction's threshold comes from."""

from collections.abc import Mapping
from typing import Any

from rdvar_jax.report.page.threshold_words import origin, promise
from rdvar_jax.serving.judgement import Thresholds


def threshold_words(given: Thresholds, stored: Mapping[str, Any] | None, way_out: str) -> str:
    """Returns a few sentences.

    Args:
        given: those of the user.
        stored: the entries of `threshold.json`, of a run or in a bundle; those of a bundle may be
          anything.
        way_out: says how to get a threshold where there is none.
    """
    if given.image is not None:
        return "Given with --threshold."
    if stored is None:
        return f"There is no threshold, so no verdicts; {way_out}."
    if stored.get("method") == "given":
        return "Given with rdvar export --threshold."
    try:
        return " ".join([origin(stored), *promise(stored)])
    except (AttributeError, KeyError, TypeError, ValueError):
        return "Its origin is not known."
