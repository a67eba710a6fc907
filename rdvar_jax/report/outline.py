"""Outlines of regions in two tones, of which one is visible on any colour."""

import numpy as np


def rings(mask: np.ndarray, *widths: int) -> list[np.ndarray]:
    """Returns rings around a mask, one outside the other; the mask itself stays uncovered.

    Args:
        mask: bool [H, W].
        widths: of the rings in pixels, from the inside outwards.

    Returns:
        bool [H, W] of each ring. Corners are square.
    """
    found, inside = [], np.asarray(mask, np.bool_)
    for width in widths:
        grown = _grown(inside, width)
        found.append(grown & ~inside)
        inside = grown
    return found


def draw_outline(pixels: np.ndarray, mask: np.ndarray, white: int, black: int) -> None:
    """Draws a white ring around a mask and a black one around that, in place.

    Args:
        pixels: uint8 [H, W, 3], changed.
        mask: bool [H, W].
        white, black: widths of the rings in pixels.
    """
    # Only where something is marked: most of an image is not.
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return
    edge = white + black
    box = tuple(slice(max(0, ends[0] - edge), ends[-1] + edge + 1) for ends in (rows, columns))
    for ring, value in zip(rings(mask[box], white, black), (255, 0), strict=True):
        pixels[box][ring] = value


def _grown(mask: np.ndarray, radius: int) -> np.ndarray:
    """Marks all pixels at most `radius` rows and columns from a marked one."""
    for axis in (0, 1):
        reach = np.moveaxis(mask, axis, 0)
        reach = np.pad(reach, ((radius, radius), (0, 0)))
        # Twice as many neighbours with each step, so that wide rings cost little more.
        seen, wanted = 1, 2 * radius + 1
        while seen < wanted:
            step = min(seen, wanted - seen)
            reach = reach[:-step] | reach[step:]
            seen += step
        mask = np.moveaxis(reach, 0, axis)
    return mask
