"""Which convolutions stay in float32: those whose rounding changes the maps most, as measured."""

import logging
from collections.abc import Callable

import numpy as np

from rdvar_jax.data.loading.progress import progress_bar
from rdvar_jax.serving.int8.comparison import (
    CHOSEN,
    Comparison,
    Images,
    Limits,
    Score,
    changes,
    compare,
)
from rdvar_jax.serving.int8.quantiser import Quantiser

_logger = logging.getLogger("rdvar_jax")


def sensitivities(
    quantiser: Quantiser,
    load: Callable[[bytes], Score],
    expected: np.ndarray,
    pixels: np.ndarray,
) -> dict[str, float]:
    """Measures each convolution alone in int8.

    Args:
        quantiser: of the model.
        load: makes what scores of a model.
        expected: its float32 maps [N, H, W].
        pixels: of the images, uint8 [N, H, W, 3].

    Returns:
        Root mean square change of the maps, by each map's maximum; the least sensitive first.
    """
    names = quantiser.convolutions
    _logger.info("int8: measuring each of %d convolutions on %d images", len(names), len(pixels))
    found = {}
    with progress_bar(len(names), "sensitivity", "layer") as done:
        for name in names:
            maps, _ = load(quantiser.model([name]))(pixels)
            found[name] = float(np.sqrt(np.mean(changes(expected, maps) ** 2)))
            done(1)
    return dict(sorted(found.items(), key=lambda item: item[1]))


def choose(
    quantiser: Quantiser,
    load: Callable[[bytes], Score],
    order: list[str],
    expected: tuple[np.ndarray, np.ndarray],
    images: Images,
    limits: Limits = CHOSEN,
) -> tuple[list[str], Comparison]:
    """Finds the most convolutions that can be int8 within limits, by bisection.

    Args:
        quantiser: of the model.
        load: makes what scores of a model.
        order: names of convolutions, the least sensitive first.
        expected: float32 maps and scores of the images.
        images: that are compared.
        limits: to keep.

    Returns:
        The first convolutions of `order`, perhaps none, and the last comparison of so many, or of
        one where none is within the limits.
    """

    def measured(count: int) -> Comparison:
        return compare(expected, load(quantiser.model(order[:count])), images)

    found = measured(len(order))
    if found.within(limits):
        return order, found
    low, high, best = 0, len(order), None
    while high - low > 1:
        middle = (low + high) // 2
        found = measured(middle)
        if found.within(limits):
            low, best = middle, found
        else:
            high = middle
    return order[:low], best or found
