"""One image file as upright 8-bit grey or RGB pixels; every failure is a DataError."""

import struct
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import TypeVar

from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from rdvar_jax.data.pixels.file_errors import check_num_pixels, explaining_errors
from rdvar_jax.data.pixels.image_formats import pillow_formats
from rdvar_jax.data.pixels.levels import (
    GREY_MODES,
    Levels,
    colour_levels,
    mark_high_bytes,
    scale_grey,
)
from rdvar_jax.data.pixels.png_chunks import ORIENTATION_KEYWORDS, without_remarks
from rdvar_jax.data.pixels.reading import MAX_FULL_SCALE, Reading
from rdvar_jax.data.pixels.tiff_layout import (
    check_alpha,
    check_tiff_layout,
    check_unread_tiff,
)
from rdvar_jax.data.pixels.tiff_pages import check_one_page
from rdvar_jax.data.sets.records import ImageFile
from rdvar_jax.errors import DataError

_T = TypeVar("_T")

_EIGHT_BIT_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by EXIF orientation
_BACK = {6: 8, 8: 6}  # all others undo themselves
SIDEWAYS_ORIENTATIONS = (5, 6, 7, 8)  # EXIF: width and height are swapped
_DEFAULT = Reading()


def load_image(path: ImageFile, reading: Reading = _DEFAULT) -> Image.Image:
    """Decodes an image and turns it upright; the file is closed.

    Raises:
        DataError: the file cannot be read; the message says why.
    """
    return load_turned(path, reading=reading)[0]


def load_turned(
    path: ImageFile, orientation: int | None = None, reading: Reading = _DEFAULT
) -> tuple[Image.Image, int]:
    """Decodes an image and turns it by an EXIF orientation; see `load_image`.

    Args:
        path: the file.
        orientation: None for the file's own.
        reading: of it, the most pixels.

    Returns:
        The picture, with the file's format, and the file's own orientation.
    """

    def load(image: Image.Image) -> tuple[Image.Image, int]:
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            check_tiff_layout(image.tag_v2, path)
            check_one_page(image, path)
        # "MPO" is a JPEG of a phone or stereo camera: the first picture is the photograph, the
        # others are previews and gain maps.
        elif getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
            raise DataError(
                f"{path} holds more than one picture, and it is unclear which one is meant; save "
                "each as a separate file."
            )
        mark_high_bytes(image)
        own = _orientation(image)
        if isinstance(image, TiffImagePlugin.TiffImageFile) and own in SIDEWAYS_ORIENTATIONS:
            # Pillow maps uncompressed grey into memory as if its sides were swapped already, and
            # scrambles it; without a name it reads.
            image.filename = ""
        image.load()
        turns = [own if orientation is None else orientation]
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            check_alpha(image, path)
            # Pillow has turned it already.
            turns = [] if orientation is None else [_BACK.get(own, own), orientation]
        turned: Image.Image = image
        for turn in turns:
            if turn in _TURNS:
                turned = turned.transpose(_TURNS[turn])
        turned.format = image.format
        return turned, own

    return _with_image(path, load, reading)


def as_8_bit(image: Image.Image, name: ImageFile | str, mode: str) -> Image.Image:
    """Converts a picture to 8 bits in `mode`; see `read_8_bit`, with the type's own full scale."""
    return read_8_bit(image, name, mode)[0]


def read_8_bit(
    image: Image.Image, name: ImageFile | str, mode: str, reading: Reading = _DEFAULT
) -> tuple[Image.Image, Levels | None]:
    """Converts a picture to 8 bits in `mode`, as `decode_image` describes.

    Args:
        image: any picture; its `info` may lose a transparent colour.
        name: named in an error.
        mode: of the result, "RGB" or "L".
        reading: its full scale is that of images; masks have their type's own.

    Returns:
        The picture, and the levels of one that had more than 8 bits.

    Raises:
        DataError: its pixels have no defined meaning in that mode.
    """
    levels = colour_levels(image)
    if image.mode in GREY_MODES:
        image, levels = scale_grey(image, name, reading)
    elif image.mode not in _EIGHT_BIT_MODES:
        # Mode F above all: floats have no standard maximum (1, 255, a physical unit?), so any
        # scaling would be a guess that changes what the network sees.
        raise DataError(
            f"{name} holds pixels of Pillow's mode {image.mode}, which have no defined meaning as "
            "8-bit grey or colour; save it with 8 or 16 bits in grey or RGB."
        )
    # Alpha is dropped, and so is a transparent colour: Pillow warns when it converts one.
    image.info.pop("transparency", None)
    return image.convert(mode), levels


def grey_levels(path: ImageFile, max_pixels: int) -> Levels | None:
    """Returns the levels of a grey image of more than 8 bits; None of any other, not decoded.

    Raises:
        DataError: the file cannot be read.
    """
    reading = Reading(MAX_FULL_SCALE, max_pixels)
    if _with_image(path, lambda image: image.mode, reading) not in GREY_MODES:
        return None
    return read_8_bit(load_image(path, reading), path, "L", reading)[1]


def image_dimensions(path: ImageFile, reading: Reading = _DEFAULT) -> tuple[int, int]:
    """Returns width and height of the upright image, from the header alone where possible.

    It is not for a PNG that is not square, whose EXIF block may follow the pixels, and for HEIC.

    Raises:
        DataError: the file cannot be read.
    """

    def dimensions(image: Image.Image) -> tuple[int, int]:
        if image.format == "HEIF":
            image.load()  # its size is known for sure then
        width, height = image.size
        # Pillow's size of a TIFF is already upright.
        if width == height or image.format == "TIFF":
            return width, height
        is_on_the_side = _orientation(image) in SIDEWAYS_ORIENTATIONS
        return (height, width) if is_on_the_side else (width, height)

    return _with_image(path, dimensions, reading)


def image_orientation(path: ImageFile, reading: Reading = _DEFAULT) -> int:
    """Returns the file's EXIF orientation, 1 to 8; 1 without one.

    Raises:
        DataError: the file cannot be read.
    """
    return _with_image(path, _orientation, reading)


def is_16_bit_grey(image: Image.Image) -> bool:
    """Whether a picture's values may need more than 8 bits."""
    return image.mode in GREY_MODES


def _with_image(path: ImageFile, use: Callable[[Image.Image], _T], reading: Reading) -> _T:
    """Returns what `use` makes of the opened image."""
    with explaining_errors(path, reading.max_pixels):
        try:
            with _open(path) as image:
                check_num_pixels(path, image.size, reading.max_pixels)
                return use(image)
        except (ValueError, SyntaxError, struct.error, UnidentifiedImageError):
            # A text or profile over Pillow's limits, or a malformed chunk that says nothing about
            # pixels. Texts may hold the orientation, so these are tried first.
            with path.open("rb") as file:
                content = file.read() if file.read(4) == b"\x89PNG" and not file.seek(0) else b""
            for keywords in (ORIENTATION_KEYWORDS, ()):
                whole = without_remarks(content, keywords)
                if whole is None:
                    continue
                with suppress(ValueError, SyntaxError, struct.error, UnidentifiedImageError):
                    with Image.open(BytesIO(whole), formats=("PNG",)) as image:
                        check_num_pixels(path, image.size, reading.max_pixels)
                        return use(image)
            with path.open("rb") as file:
                check_unread_tiff(file, path)
            raise


def _open(path: ImageFile) -> Image.Image:
    return Image.open(path if isinstance(path, Path) else path.open("rb"), formats=pillow_formats())


def _orientation(image: Image.Image) -> int:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        # `getexif` before the pixels are decoded makes Pillow turn them wrongly.
        return image.tag_v2.get(ExifTags.Base.Orientation, 1)
    if image.format == "PNG":
        image.load()  # the EXIF block may follow the pixels
    # An invalid block says nothing, and raises whatever its bytes lead to; the pixels are whole.
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        return 1
