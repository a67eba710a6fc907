"""One image with its mask: a surface is lit, photographed, and compared with the good one."""

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

MIN_SIZE = 32  # smaller images show nothing recognisable

# The work grid is finer than the image, against aliased edges.
_FINER = 2
_FINER_IF_SMALL, _SMALL = 3, 96
_GAP = 0.012  # image widths: parts of a defect that are closer than this are merged
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
    """Draws one image, which depends on the arguments alone.

    The scene has no resolution: another size shows the same part, apart from the sensor noise. The
    severity of a defect, from hard to see to obvious, follows from `index`: a few consecutive
    indices cover the range evenly.

    Args:
        category: One of `CATEGORIES`.
        defect: One of `DEFECTS[category]`, or None for a good part.
        split: "train", "test" or any other name; each has different images.
        index: The image's number within its split and defect, from 0.
        seed: Non-negative.
        size: Side of the image in pixels, S, at least 32.
        repaired: Draw the same photograph without the defect: same part, light and sensor noise.
            The mask is then empty.

    Returns:
        The image, uint8 [S, S, 3], and its mask, bool [S, S], True where the defect is. The mask
        follows from the geometry: every pixel where the defect changes the surface, its material or
        a shadow near it, and, of hidden parts, what a person would include.

    Raises:
        ValueError: The category or defect is unknown, `size` is too small, or a number is negative.
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
    """Returns 0 to 1; steps of the golden ratio spread any number of images evenly."""
    return (0.62 + index * _GOLDEN) % 1.0


def _mask(change: np.ndarray, size: int) -> np.ndarray:
    """Downsamples a change from the work grid to the image, and closes small gaps."""
    finer = change.shape[0] // size
    share = change.reshape(size, finer, size, finer).mean(axis=(1, 3))
    steps = max(1, round(_GAP * size))
    # Padded, or the closing would erode the mask at the image's edge.
    wide = np.pad(share >= 0.4, steps)
    closed = ndimage.binary_closing(wide, iterations=steps)[steps:-steps, steps:-steps]
    return closed
