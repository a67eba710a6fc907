"""Settings of reading a file: the grey value that is white, and how large an image may be."""

from dataclasses import dataclass

MAX_PIXELS = 89_478_485
"""Default of `data.max_pixels`: Pillow's limit against decompression bombs."""

MAX_FULL_SCALE = 2**32 - 1
OWN_FULL_SCALE, AUTO_FULL_SCALE = "type", "auto"
"""Values of `data.full_scale` that are not numbers."""


@dataclass(frozen=True)
class Reading:
    """How files become 8-bit pixels.

    Attributes:
        full_scale: the value that becomes 255 in grey images of more than 8 bits. None takes the
            type's own: 4095 in a TIFF of 12 bits, else 65535.
        max_pixels: width times height of an image, at most.
    """

    full_scale: int | None = None
    max_pixels: int = MAX_PIXELS


def as_reading(full_scale: int | str, max_pixels: int) -> Reading:
    """Converts the settings `data.full_scale`, which is not "auto", and `data.max_pixels`."""
    if full_scale == AUTO_FULL_SCALE:
        raise ValueError('full_scale "auto" must be decided first')
    return Reading(full_scale if isinstance(full_scale, int) else None, max_pixels)


def reading_problems(full_scale: int | str, max_pixels: int) -> list[str]:
    """Returns one sentence for each of the two settings that cannot be used."""
    problems = []
    if full_scale not in (OWN_FULL_SCALE, AUTO_FULL_SCALE) and not (
        isinstance(full_scale, int) and 1 <= full_scale <= MAX_FULL_SCALE
    ):
        problems.append(
            f"data.full_scale={full_scale} must be type, auto, or the grey value that is white, "
            f"from 1 to {MAX_FULL_SCALE}, such as 4095."
        )
    if max_pixels < 1:
        problems.append(f"data.max_pixels={max_pixels} must be at least 1.")
    return problems
