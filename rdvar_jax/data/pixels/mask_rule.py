"""Which values of a mask are defective.

| data.mask_threshold | value in the file | pixel after the resize |
|---|---|---|
| "half" | grey, resized as it is (RD4AD) | above half of white |
| 1 to 255 | that value or more becomes white, the rest black | above half of white |
| "any" | every value but 0 becomes white | any white in it |

The values of a record with `mask_nonzero` become white as with "any", whatever the setting.
"""

from typing import TypeAlias

from PIL import Image

from rdvar_jax.data.pixels.mask_file import MaskFile, highest_value

MaskThreshold: TypeAlias = str | int  # "half", "any" or the lowest defective value, 1 to 255

# data.mask_threshold also takes "auto", which `mask_survey.py` resolves to one of these.
AUTO = "auto"
_NAMES = (AUTO, "half", "any")

# In uint8, 127 is 0.498 of the full value and 128 is 0.502.
HALF = 128

# Noise of a JPEG beside an edge reaches this fraction of the file's highest value.
NOISE = 8


def threshold_problems(setting: MaskThreshold) -> list[str]:
    """Returns a sentence if `data.mask_threshold` is not a name or number that it takes."""
    if setting in _NAMES or (type(setting) is int and 1 <= setting <= 255):
        return []
    return [
        f"data.mask_threshold={setting} is not one of {', '.join(_NAMES)}, or a whole number from "
        "1 to 255."
    ]


def apply_threshold(mask: MaskFile, threshold: MaskThreshold, nonzero: bool) -> Image.Image:
    """Returns the mask in grey, ready to be resized; then `mask_limit` applies."""
    if threshold == "half" and not nonzero:
        return mask.grey
    if nonzero or isinstance(threshold, str):
        lowest = above_noise(highest_value(mask.grey)) if mask.is_lossy else 1
    else:
        lowest = threshold
    return mask.grey.point([0] * lowest + [255] * (256 - lowest))


def above_noise(highest: int) -> int:
    """Returns the lowest value that is not the noise of a JPEG with this highest value."""
    return highest // NOISE + 1


def mask_limit(threshold: MaskThreshold) -> int:
    """Returns the uint8 value above which a pixel of the resized mask is defective."""
    if isinstance(threshold, str) and threshold not in ("half", "any"):
        raise ValueError(f"threshold must be 'half', 'any' or a number, not {threshold!r}")
    return 0 if threshold == "any" else HALF - 1


def lowest_value(threshold: MaskThreshold) -> int:
    """Returns the lowest value of a file that is defective, its noise aside."""
    return {"half": HALF, "any": 1}[threshold] if isinstance(threshold, str) else threshold
