"""One mask file as 8-bit grey, upright; every failure is a DataError.

Black is unmarked, and anything that is not black in the file is at least 1 here, however the file
holds it: class numbers in 16 bits, colours too dark for grey, a painted transparent layer.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from rdvar_jax.data.pixels.image_file import (
    SIDEWAYS_ORIENTATIONS,
    as_8_bit,
    image_orientation,
    is_16_bit_grey,
    load_turned,
)
from rdvar_jax.data.pixels.reading import Reading
from rdvar_jax.data.sets.records import ImageFile
from rdvar_jax.errors import DataError

# data.mask_orientation: a mask is turned by its own EXIF orientation, by its image's, or not.
ORIENTATIONS = ("own", "image", "upright")

# PNG text of a mask that was decoded from a JPEG (`tfds_write.py`).
LOSSY_NOTE = "lossy"

# WebP, AVIF and HEIC may be lossless, which Pillow does not say.
_LOSSY_FORMATS = ("JPEG", "MPO", "WEBP", "AVIF", "HEIF")

_DEFAULT = Reading()


@dataclass(frozen=True)
class MaskFile:
    """A decoded mask.

    Attributes:
        grey: 8 bits, mode "L"; 0 is unmarked.
        highest: the highest value that the file holds; in colour, as grey.
        is_wide: that value has 16 bits.
        is_lossy: from a JPEG or the like, whose edges are noisy.
        orientation: the file's own EXIF orientation.
    """

    grey: Image.Image
    highest: int
    is_wide: bool
    is_lossy: bool
    orientation: int


def load_mask(
    path: ImageFile,
    image_size_wh: tuple[int, int] | None = None,
    *,
    image_path: ImageFile | None = None,
    orientation: str = "own",
    setting: str = "data.mask_orientation=",
    reading: Reading = _DEFAULT,
) -> MaskFile:
    """Loads a mask at its own size.

    Args:
        path: the mask's file.
        image_size_wh: width and height of its image, upright, to compare with; None skips that.
        image_path: the image's file, for `orientation` "image" and for an error.
        orientation: one of ORIENTATIONS.
        setting: how an error names that choice.
        reading: of it, the most pixels; the full scale is that of images.

    Raises:
        DataError: the file cannot be read, or its width and height are not the image's.
    """
    turn = None
    if orientation != "own":
        turn = 1
        if orientation == "image" and image_path:
            turn = image_orientation(image_path, reading)
    image, own = load_turned(path, turn, reading)
    is_wide = is_16_bit_grey(image)
    highest = int(np.asarray(image).max()) if is_wide else 0
    is_lossy = image.format in _LOSSY_FORMATS or image.info.get("compression") == "jpeg"
    is_lossy = is_lossy or LOSSY_NOTE in image.info
    grey = _grey(image, path)
    if image_size_wh is not None and grey.size != image_size_wh:
        applied = own if turn is None else turn
        raise DataError(
            _size_problem(
                path, grey.size, applied, own, image_size_wh, image_path, setting, reading
            )
        )
    return MaskFile(grey, highest or highest_value(grey), is_wide, is_lossy, own)


def highest_value(grey: Image.Image) -> int:
    """Returns the highest value of a picture in mode "L"."""
    return int(np.asarray(grey).max())


def _grey(image: Image.Image, path: ImageFile) -> Image.Image:
    if is_16_bit_grey(image):
        grey = as_8_bit(image, path, "L")
        return _at_least_1(grey, np.greater(np.asarray(image), 0))
    alpha = None
    if image.mode in ("LA", "PA", "RGBA"):
        alpha = image.getchannel("A")
    elif image.mode == "P" and "transparency" in image.info:
        alpha = image.convert("RGBA").getchannel("A")
    if image.mode in ("P", "PA"):
        grey = _palette(image, path)
    elif image.mode in ("1", "L", "LA"):
        grey = as_8_bit(image, path, "L")
    else:
        grey = _luma(as_8_bit(image, path, "RGB"))
    if alpha is None or alpha.getextrema()[0] == alpha.getextrema()[1]:
        return grey
    if highest_value(grey) == 0:
        return alpha  # painted in black on a transparent layer
    values, opacity = np.asarray(grey), np.asarray(alpha)
    seen = (values.astype(np.uint16) * opacity + 127) // 255
    return _at_least_1(Image.fromarray(seen.astype(np.uint8)), (values > 0) & (opacity > 0))


def _palette(image: Image.Image, path: ImageFile) -> Image.Image:
    """Returns grey by colour, or by number where the colours do not tell marked from unmarked.

    That is where all are the same, or where number 0 covers most of the picture without being the
    darkest: a palette for looking at, on white.
    """
    numbers = image.getchannel(0) if image.mode == "PA" else image
    numbers = Image.fromarray(np.asarray(numbers))
    grey = _luma(as_8_bit(image, path, "RGB"))
    values, counts = np.asarray(grey), numbers.histogram()
    if sum(count > 0 for count in counts) == 1:
        return grey
    lowest, highest = grey.getextrema()
    is_on_white = counts[0] * 2 > values.size and values[np.asarray(numbers) == 0].min() > lowest
    return numbers if lowest == highest or is_on_white else grey


def _luma(rgb: Image.Image) -> Image.Image:
    return _at_least_1(rgb.convert("L"), np.asarray(rgb).max(axis=2) > 0)


def _at_least_1(grey: Image.Image, marked: np.ndarray) -> Image.Image:
    values = np.asarray(grey)
    if (values[marked] > 0).all():
        return grey
    return Image.fromarray(np.maximum(values, marked))


def _size_problem(
    path: ImageFile,
    size_wh: tuple[int, int],
    applied: int,
    own: int,
    image_size_wh: tuple[int, int],
    image_path: ImageFile | None,
    setting: str,
    reading: Reading,
) -> str:
    """Returns the sentence about another size; it names EXIF where that swapped the sides."""
    image = "its image" if image_path is None else f"its image {image_path}"
    sizes = f"The mask {path} has {_by(size_wh)} pixels but {image} has {_by(image_size_wh)}"
    if size_wh != image_size_wh[::-1]:
        return f"{sizes}; make both the same size."
    of_image = 1 if image_path is None else image_orientation(image_path, reading)
    is_swapped = applied in SIDEWAYS_ORIENTATIONS
    ways = {
        "image": (of_image, "if masks are stored like their images"),
        "upright": (1, "if masks are stored upright"),
        "own": (own, "if each mask's own EXIF orientation is right"),
    }
    found = [
        way for way, (turn, _) in ways.items() if (turn in SIDEWAYS_ORIENTATIONS) != is_swapped
    ]
    if not found:
        return (
            f"{sizes}, as if one of them had lost its EXIF orientation; save both upright, with "
            "the same size."
        )
    if is_swapped and of_image in SIDEWAYS_ORIENTATIONS:
        cause = f"both are turned by the EXIF orientation {applied}"
    elif is_swapped:
        cause = f"the mask is turned by its EXIF orientation {applied} and the image is not"
    elif of_image in SIDEWAYS_ORIENTATIONS:
        cause = f"the image is turned by its EXIF orientation {of_image} and the mask is not"
    else:
        cause = f"the mask's own EXIF orientation {own} is not used"
    return (
        f"{sizes}, because {cause}; set {setting}{found[0]} {ways[found[0]][1]}, or save both "
        "upright, without EXIF orientation."
    )


def _by(size_wh: tuple[int, int]) -> str:
    return f"{size_wh[0]}x{size_wh[1]}"
