"""One image with its mask: a surface is lit, photographed, and compared with its twin."""

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from rdvar_jax.data.sets.records import GOOD
from rdvar_jax.synthetic import blister, cloth, nut, plate
from rdvar_jax.synthetic.camera import photograph
from rdvar_jax.synthetic.draws import Draws
from rdvar_jax.synthetic.light import Light, shade
from rdvar_jax.synthetic.surface import Shot, Surface, changed

_DRAW: dict[str, Callable[[Shot], tuple[Surface, Light]]] = {
    "blister": blister.draw,
    "cloth": cloth.draw,
    "nut": nut.draw,
    "plate": plate.draw,
}

CATEGORIES = tuple(_DRAW)
"""The names of the categories, sorted."""

DEFECTS: dict[str, tuple[str, ...]] = {
    "blister": blister.DEFECTS,
    "cloth": cloth.DEFECTS,
    "nut": nut.DEFECTS,
    "plate": plate.DEFECTS,
}
"""The kinds of defect of each category, sorted."""

MIN_SIZE = 32  # smaller, there is nothing to recognise

# A fine grid is drawn, and the lens takes the mean: edges without steps.
_FINER = 2
_FINER_IF_SMALL, _SMALL = 3, 96
_GAP = 0.012  # widths of the image: parts of a defect that are nearer to one another are one
_GOLDEN = 0.6180339887498949


def render(
    category: str,
    defect: str | None = None,
    *,
    split: str = "test",
    index: int = 0,
    seed: int = 0,
    size: int = 256,
    repaired: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one image. It depends on the arguments alone, never on other images.

    The scene has no resolution: another size shows the same part, apart from the sensor's noise.
    The severity of a defect, from hard to see to obvious, follows from `index`: any few neighbours
    cover the range evenly.

    Args:
        category: One of `CATEGORIES`.
        defect: One of `DEFECTS[category]`, or None for a good part.
        split: "train", "test" or any other word: another word, other images.
        index: The image's number within its split and defect, from 0.
        seed: From 0.
        size: Side of the image in pixels, S, at least 32.
        repaired: Draw what would have been photographed without the defect: same part, same light,
            same noise of the sensor. The mask is then empty.

    Returns:
        The image, uint8 [S, S, 3], and its mask, bool [S, S], True where the defect is. The mask
        follows from the shapes: it holds every pixel in which the defect has changed the surface,
        its material or a shadow near it, and, of what lies hidden, what a person would include.

    Raises:
        ValueError: There is no such category or defect, `size` is too small, or a number is
            negative.
    """
    if category not in _DRAW:
        raise ValueError(f"category must be one of {', '.join(CATEGORIES)}, not {category!r}")
    if defect is not None and defect not in DEFECTS[category]:
        kinds = ", ".join(DEFECTS[category])
        raise ValueError(f"a defect of {category} must be one of {kinds}, not {defect!r}")
    if size < MIN_SIZE:
        raise ValueError(f"size must be at least {MIN_SIZE}, not {size}")
    words = (category, split, defect or GOOD, index)
    finer = _FINER_IF_SMALL if size < _SMALL else _FINER

    def draw(which: str | None) -> tuple[Surface, Light]:
        scene, flaw = Draws(seed, *words, "scene"), Draws(seed, *words, "defect")
        return _DRAW[category](Shot(finer * size, which, scene, flaw, severity(index)))

    surface, light = draw(None if repaired else defect)
    mask = np.zeros((size, size), np.bool_)
    if defect is not None and not repaired:
        mask = _mask(changed(draw(None)[0], surface), size)
    return photograph(shade(surface, light), light, size, Draws(seed, *words, "camera")), mask


def severity(index: int) -> float:
    """0 to 1; steps of the golden ratio spread any number of images evenly."""
    return (0.62 + index * _GOLDEN) % 1.0


def _mask(change: np.ndarray, size: int) -> np.ndarray:
    """From the work grid to the image: what fills a good part of a pixel; small gaps are closed."""
    finer = change.shape[0] // size
    share = change.reshape(size, finer, size, finer).mean(axis=(1, 3))
    steps = max(1, round(_GAP * size))
    # Closed with a margin, or the image's edge would be eaten away.
    wide = np.pad(share >= 0.4, steps)
    closed = ndimage.binary_closing(wide, iterations=steps)[steps:-steps, steps:-steps]
    return closed
