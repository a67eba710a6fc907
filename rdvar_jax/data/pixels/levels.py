"""Grey values of more than 8 bits, scaled to 8: the full scale becomes 255."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image, TiffImagePlugin

from rdvar_jax.data.pixels.reading import Reading
from rdvar_jax.data.sets.records import ImageFile
from rdvar_jax.errors import DataError

GREY_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I")
HIGH_BYTE = "rdvar_high_byte"
"""Key in a picture's `info`: Pillow has kept the high byte of each 16-bit colour."""

_CANDIDATES = (255, 1023, 4095, 16383, 65535)  # of 8, 10, 12, 14 and 16 bits
_BITS, _FORMAT, _SIGNED = 258, 339, 2
_PIXELS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Levels:
    """Values of one file of more than 8 bits."""

    highest: int
    full_scale: int  # the value that became 255
    is_colour: bool = False  # then `highest` is that of the high bytes


def fitting_full_scale(highest: int) -> int:
    """Returns the full scale of the fewest bits, 8, 10, 12, 14, 16 or more, that holds a value."""
    for full_scale in _CANDIDATES:
        if highest <= full_scale:
            return full_scale
    return (1 << int(highest).bit_length()) - 1


def highest_grey(levels: Iterable[Levels | None]) -> int | None:
    """Returns the highest grey value of files of more than 8 bits; None without such a file."""
    return max((one.highest for one in levels if one and not one.is_colour), default=None)


def scale_grey(
    image: Image.Image, name: ImageFile | str, reading: Reading
) -> tuple[Image.Image, Levels]:
    """Scales a picture of one of GREY_MODES to mode L; values above the full scale become 255.

    Raises:
        DataError: a value is negative, or above 65535 without a full scale.
    """
    values, own = _values(image)
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0:
        raise DataError(
            f"{name} holds negative grey values, down to {lowest}, which have no meaning as grey; "
            "save it unsigned, with 8 or 16 bits."
        )
    full_scale = own if reading.full_scale is None else reading.full_scale
    if highest > 65535 and reading.full_scale is None:
        raise DataError(
            f"{name} holds grey values up to {highest}, above 65535; save it with 8 or 16 bits, "
            f"or, for images, train with data.full_scale={fitting_full_scale(highest)}."
        )
    scaled = np.empty(values.shape, np.uint8)
    rows = max(1, _PIXELS_AT_ONCE // values.shape[1])
    for top in range(0, len(values), rows):
        strip = np.minimum(values[top : top + rows].astype(np.int64), full_scale)
        scaled[top : top + rows] = (strip * 510 + full_scale) // (2 * full_scale)
    return Image.fromarray(scaled), Levels(highest, full_scale)


def colour_levels(image: Image.Image) -> Levels | None:
    """Returns the levels of 16-bit colour, of which Pillow keeps the high bytes; else None."""
    if HIGH_BYTE not in image.info:
        return None
    bands = dict(zip(image.getbands(), _extrema(image), strict=True))
    bands.pop("A", None)
    return Levels(max(high for _, high in bands.values()) * 257, 65535, is_colour=True)


def mark_high_bytes(image: Image.Image) -> None:
    """Notes in `info` that an opened picture has 16-bit colours; to be called before it loads."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        is_deep = 16 in image.tag_v2.get(_BITS, ())
    else:
        tiles = getattr(image, "tile", ())  # of a file that is not loaded yet
        is_deep = image.format == "PNG" and any(";16" in str(one[3]) for one in tiles)
    if is_deep and image.mode in ("RGB", "RGBA", "L", "LA"):  # in CMYK 0 is white
        image.info[HIGH_BYTE] = True


def _values(image: Image.Image) -> tuple[np.ndarray, int]:
    """Returns grey values [H, W] and the type's own full scale."""
    values, tags = np.asarray(image), {}
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tags = image.tag_v2
    bits = tags.get(_BITS)
    if bits == (32,) and _SIGNED not in tags.get(_FORMAT, (1,)):
        values = values.view(np.uint32)
    return values, 4095 if bits == (12,) else 65535


def _extrema(image: Image.Image) -> list[tuple[int, int]]:
    found = image.getextrema()
    return [found] if len(image.getbands()) == 1 else list(found)  # pyright: ignore
