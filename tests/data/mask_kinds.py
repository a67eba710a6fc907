"""Masks of the same two defects in every kind of file that marks them."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIDE = 112

# Two defects, 50 pixels apart.
FIRST = np.zeros((SIDE, SIDE), np.bool_)
FIRST[8:25, 10:28] = True
SECOND = np.zeros((SIDE, SIDE), np.bool_)
SECOND[80:100, 70:104] = True
BOTH = FIRST | SECOND
NUMBERS = (FIRST + 2 * SECOND).astype(np.uint8)  # 0, 1 and 2

Write = Callable[[np.ndarray, Path], None]  # numbers of classes [H, W], and the file


def as_values(*values: int, dtype: Any = np.uint8, **options) -> Write:
    """Class k as `values[k]`."""
    return lambda numbers, path: Image.fromarray(np.array(values, dtype)[numbers]).save(
        path, **options
    )


def as_colours(*colours: tuple[int, ...], **options) -> Write:
    """Class k as `colours[k]`, RGB or RGBA, or grey and alpha."""
    return as_values(*colours, **options)


def as_palette(
    *colours: tuple[int, int, int], order=(0, 1, 2), mode: str = "P", **options
) -> Write:
    """Class k as palette entry `order[k]`, of that colour."""

    def write(numbers: np.ndarray, path: Path) -> None:
        image = Image.fromarray(np.array(order, np.uint8)[numbers])
        image.putpalette([part for colour in colours for part in colour])
        image.convert(mode).save(path, **options)

    return write


def as_bits(numbers: np.ndarray, path: Path) -> None:
    Image.fromarray(numbers > 0).save(path)


def once_jpeg(quality: int, *values: int) -> Write:
    """What a JPEG made of it, saved without loss."""

    def write(numbers: np.ndarray, path: Path) -> None:
        file = BytesIO()
        Image.fromarray(np.array(values, np.uint8)[numbers]).save(file, "JPEG", quality=quality)
        with Image.open(file) as image:
            Image.fromarray(np.asarray(image)).save(path)

    return write


BLACK, WHITE, RED, GREEN = (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 128, 0)

# By name, with the suffix. Under "half" at least one defect of each is lost; "auto" finds both.
CLASSES: dict[str, Write] = {
    "0 and 1.png": as_values(0, 1, 1),
    "0 and 1.bmp": as_values(0, 1, 1),
    "0 and 1.tif": as_values(0, 1, 1),
    "classes.png": as_values(0, 1, 2),
    "classes, the second white.png": as_values(0, 1, 255),
    "100 and 200.png": as_values(0, 100, 200),
    "100.png": as_values(0, 100, 100),
    "wide 255.png": as_values(0, 255, 255, dtype=np.uint16),
    "wide classes.tif": as_values(0, 1, 2, dtype=np.uint16),
    "wide 25600.png": as_values(0, 25600, 51400, dtype=np.uint16),
    "int32 255.tif": as_values(0, 255, 255, dtype=np.int32),
    "red.png": as_colours(BLACK, RED, RED),
    "red and white.png": as_colours(BLACK, RED, WHITE),
    "class in red channel.png": as_colours(BLACK, (1, 0, 0), (2, 0, 0)),
    "faint blue.bmp": as_colours(BLACK, (0, 0, 1), (0, 0, 3)),
    "red, opaque.png": as_colours((0, 0, 0, 255), (255, 0, 0, 255), (255, 0, 0, 255)),
    "red on clear white.png": as_colours((255, 255, 255, 0), (255, 0, 0, 255), (255, 0, 0, 255)),
    "faint alpha.png": as_colours((255, 255, 255, 0), (255, 255, 255, 90), (255, 255, 255, 255)),
    "grey alpha classes.png": as_colours((0, 255), (1, 255), (2, 255)),
    "palette of VOC.png": as_palette(BLACK, (128, 0, 0), GREEN),
    "palette of numbers.png": as_palette(BLACK, (1, 1, 1), (2, 2, 2)),
    "palette of one colour.png": as_palette(BLACK, BLACK, BLACK),
    "palette on white.png": as_palette(WHITE, RED, (0, 0, 255)),
    "palette with alpha.tif": as_palette(BLACK, RED, GREEN, mode="PA"),
    "palette, keyed.png": as_palette(GREEN, RED, RED, transparency=0),
}

# Neither loses anything under "half" nor changes by "auto".
HALVES: dict[str, Write] = {
    "bits.png": as_bits,
    "bits.bmp": as_bits,
    "bits.tif": as_bits,
    "clean.png": as_values(0, 255, 255),
    "128 and 255.png": as_values(0, 128, 255),
    "wide.png": as_values(0, 65535, 65535, dtype=np.uint16),
    "white.png": as_colours(BLACK, WHITE, WHITE),
    "yellow and white.bmp": as_colours(BLACK, (255, 255, 0), WHITE),
    "grey alpha.png": as_colours((255, 0), (255, 255), (255, 255)),
    "black on clear.png": as_colours((0, 0, 0, 0), (0, 0, 0, 255), (0, 0, 0, 255)),
    "palette, black second.png": as_palette(WHITE, BLACK, order=(1, 0, 0)),
    "palette, grey and white.png": as_palette((30, 30, 30), WHITE, WHITE),
}

# As HALVES, with noise at the edges.
NOISY: dict[str, Write] = {
    "30.jpg": as_values(0, 255, 255, quality=30),
    "75.jpg": as_values(0, 255, 255, quality=75),
    "95.jpg": as_values(0, 255, 255, quality=95),
    "white.jpg": as_colours(BLACK, WHITE, WHITE),
    "once 50.png": once_jpeg(50, 0, 255, 255),
}

# As CLASSES, with noise at the edges.
NOISY_CLASSES: dict[str, Write] = {
    "100 and 200.jpg": as_values(0, 100, 200, quality=75),
    "100 and 200, 30.jpg": as_values(0, 100, 200, quality=30),
    "100.jpg": as_values(0, 100, 100),
    "red.jpg": as_colours(BLACK, RED, RED),
    "once 100 and 200.png": once_jpeg(75, 0, 100, 200),
}
