"""The layouts of TIFF that Pillow decodes to the right pixels; every other one is refused.

Pillow reads some layouts without a word but wrongly. So this is a list of what is allowed, held
against tifffile in tests/data/pixels/test_reader_matrix.py.
"""

from dataclasses import dataclass
from typing import IO, Any

from PIL import TiffImagePlugin

from rdvar_jax.data.sets.records import ImageFile
from rdvar_jax.errors import DataError

_BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 258, 259, 262, 266
_SAMPLES, _PLANAR, _PREDICTOR, _COLOUR_MAP, _INKS = 277, 284, 317, 320, 332
_EXTRA, _FORMAT = 338, 339
_YCBCR_COEFFICIENTS, _YCBCR_SUBSAMPLING, _REFERENCE_BLACK_WHITE = 529, 530, 532
_WIDTH = 256

_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE, _SEPARATED, _YCBCR = 0, 1, 2, 3, 5, 6
_PHOTOMETRICS = {
    _MIN_IS_WHITE: "grey (0 is white)",
    _MIN_IS_BLACK: "grey",
    _RGB: "RGB",
    _PALETTE: "palette colour",
    4: "transparency",
    _SEPARATED: "CMYK",
    _YCBCR: "YCbCr",
    8: "CIE Lab",
    9: "ICC Lab",
    10: "ITU Lab",
    32803: "Bayer pattern",
    34892: "linear raw",
}
_NUM_COLOURS = {_RGB: 3, _SEPARATED: 4, _YCBCR: 3, 8: 3, 9: 3, 10: 3}
_FORMATS = {1: "unsigned", 2: "signed", 3: "float", 4: "undefined", 5: "complex", 6: "complex"}
_EXTRAS = {0: "unspecified", 1: "associated alpha", 2: "alpha"}
_RAW, _FAX, _OLD_JPEG, _JPEG = 1, (2, 3, 4), 6, 7
_COMPRESSIONS = {
    2: "CCITT RLE",
    3: "CCITT T.4",
    4: "CCITT T.6",
    5: "LZW",
    _OLD_JPEG: "old JPEG",
    _JPEG: "JPEG",
    8: "Deflate",
    32773: "PackBits",
    32946: "Deflate",
    34712: "JPEG 2000",
    34887: "LERC",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
}
_LOSSLESS = (_RAW, 5, 8, 32773, 32946, 34925, 50000)
_WITH_PREDICTOR = (5, 8, 32946, 34925, 50000)
# Extra samples beside red, green and blue, by their number.
_EXTRAS_OF_8_BIT_RGB = {
    0: [()],
    1: [(), (0,), (1,), (2,), (999,)],
    2: [(0, 0), (1, 0), (2, 0)],
    3: [(0, 0, 0), (1, 0, 0), (2, 0, 0)],
}
_EXTRAS_OF_16_BIT_RGB = {0: [()], 1: [(), (0,), (1,), (2,)]}
_BT_601 = (0.299, 0.587, 0.114)
_FULL_RANGE = (0, 255, 128, 255, 128, 255)


def check_tiff_layout(tags: Any, name: ImageFile) -> None:
    """Raises a DataError that describes the pixels, unless Pillow is known to decode them.

    Args:
        tags: of the first page, Pillow's `ImageFileDirectory_v2`.
        name: named in the error.
    """
    layout = _Layout.of(tags)
    if not (_is_storage_read(layout) and _are_samples_read(layout)):
        raise DataError(
            f"{name} is a TIFF of {_describe(layout)}, which is not among the layouts that are "
            "read; save it with 8 or 16 bits in grey or RGB, unsigned, pixel by pixel, without "
            "alpha."
        )


def check_alpha(image: TiffImagePlugin.TiffImageFile, name: ImageFile) -> None:
    """Raises a DataError if colours are multiplied by an alpha that is not opaque everywhere.

    Pillow divides them by it, which does not give back what they were.
    """
    if image.tag_v2.get(_EXTRA, (0,))[0] == 1 and image.getchannel("A").getextrema() != (255, 255):
        raise DataError(
            f"{name} is a TIFF whose colours are multiplied by its alpha (associated alpha); save "
            "it with 8 or 16 bits in grey or RGB, without alpha."
        )


def check_unread_tiff(file: IO[bytes], name: ImageFile) -> None:
    """Raises a DataError if a file that Pillow does not recognise is a TIFF of another layout."""
    header = file.read(8)
    if header[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return
    if header.startswith(b"MM\0+"):
        raise DataError(
            f"{name} is a big-endian BigTIFF, which Pillow does not read; save it as a plain TIFF."
        )
    if header[2] == 43:
        header += file.read(8)
    tags = TiffImagePlugin.ImageFileDirectory_v2(header)
    file.seek(tags.next)
    tags.load(file)
    if _WIDTH in tags:
        check_tiff_layout(tags, name)


@dataclass(frozen=True)
class _Layout:
    """The tags that say how pixels are stored; absent ones have the specification's defaults."""

    tags: Any
    bits: tuple[int, ...]  # of each sample
    num_samples: int
    formats: frozenset[int]
    photometric: int | None
    extra: tuple[int, ...]
    compression: int
    predictor: int
    fill_order: int
    planes: int
    is_little: bool

    @classmethod
    def of(cls, tags: Any) -> "_Layout":
        num_samples = tags.get(_SAMPLES, 1)
        bits = tags.get(_BITS, (1,))
        # One number may stand for all samples, and some files list more than there are.
        bits = bits * min(num_samples, 99) if len(bits) == 1 else bits[:num_samples]
        return cls(
            tags=tags,
            bits=bits,
            num_samples=num_samples,
            formats=frozenset(tags.get(_FORMAT, (1,))),
            photometric=tags.get(_PHOTOMETRIC),
            extra=tuple(tags.get(_EXTRA, ())),
            compression=tags.get(_COMPRESSION, _RAW),
            predictor=tags.get(_PREDICTOR, 1),
            fill_order=tags.get(_FILL_ORDER, 1),
            planes=tags.get(_PLANAR, 1),
            is_little=tags.prefix == b"II",
        )

    @property
    def has_small_colours(self) -> bool:
        """Whether a palette has 8-bit values where 16-bit ones belong: Pillow reads black."""
        return self.photometric == _PALETTE and 0 < max(self.tags.get(_COLOUR_MAP, (0,))) < 256


def _is_storage_read(layout: _Layout) -> bool:
    """Returns whether compression, predictor, bit order and planes are decoded rightly."""
    bits, photometric = layout.bits, layout.photometric
    is_raw = layout.compression == _RAW
    if len(set(bits)) != 1 or len(bits) != layout.num_samples:
        return False
    depth = bits[0]
    if layout.compression in _FAX:
        if bits != (1,):
            return False
    elif layout.compression == _JPEG:
        if depth != 8 or layout.extra or photometric not in (_MIN_IS_BLACK, _RGB, _YCBCR):
            return False
    elif layout.compression not in _LOSSLESS:
        return False
    # Readers differ in what a predictor means without a compression that has one.
    if layout.predictor != 1 and (
        layout.predictor != 2
        or layout.compression not in _WITH_PREDICTOR
        or depth not in (8, 16, 32)
    ):
        return False
    if layout.fill_order != 1:
        if is_raw and photometric == _MIN_IS_WHITE and depth > 2:
            return False
        if is_raw and photometric == _PALETTE and depth < 8:
            return False
        if bits not in ((1,), (2,), (4,), (8,), (8, 8, 8)):
            return bits == (16,) and layout.is_little
    if layout.planes != 1 and is_raw:
        # Pillow reads these planes as 8 bits of one letter of the mode, whatever they hold.
        return (
            (depth == 8 or bits == (1,))
            and layout.extra in ((), (2,))
            and len(bits) != 2
            and photometric in (_MIN_IS_BLACK, _RGB, _PALETTE, _SEPARATED)
        )
    if layout.planes != 1:
        return photometric in (_MIN_IS_BLACK, _RGB, _SEPARATED) or len(bits) == 1
    return True


def _are_samples_read(layout: _Layout) -> bool:
    """Returns whether the samples' meaning is known, if they are decoded rightly."""
    bits, extra, is_little = layout.bits, layout.extra, layout.is_little
    if layout.planes != 1 and set(extra) == {0}:  # whole planes are left out
        bits, extra = bits[: -len(extra)], ()
    if not bits or len(layout.formats) != 1:
        return False
    depth, num = bits[0], len(bits)
    if layout.formats != {1}:
        # Pillow does not swap the bytes of compressed signed values.
        return (
            layout.formats == {2}
            and layout.photometric == _MIN_IS_BLACK
            and bits in ((16,), (32,))
            and (is_little or layout.compression == _RAW)
        )
    if layout.photometric == _MIN_IS_WHITE:
        return bits in ((1,), (2,), (4,), (8,))
    if layout.photometric == _MIN_IS_BLACK:
        if num > 1:
            return bits == (8, 8) and extra in ((0,), (2,))
        return depth in (1, 2, 4, 8, 16) or (is_little and depth in (12, 32))
    if layout.photometric == _RGB:
        known = {8: _EXTRAS_OF_8_BIT_RGB, 16: _EXTRAS_OF_16_BIT_RGB}.get(depth, {})
        return extra in known.get(num - 3, ())
    if layout.photometric == _PALETTE:
        is_known = bits in ((1,), (2,), (4,), (8,)) or (bits == (8, 8) and extra in ((0,), (2,)))
        return is_known and not layout.has_small_colours
    if layout.photometric == _SEPARATED:
        known = {8: ((), (0,), (0, 0)), 16: ((),)}.get(depth, ())
        return layout.tags.get(_INKS, 1) == 1 and extra in known and num == 4 + len(extra)
    if layout.photometric == _YCBCR:
        return bits == (8, 8, 8) and not extra and _is_usual_ycbcr(layout.tags, layout.compression)
    return False


def _is_usual_ycbcr(tags: Any, compression: int) -> bool:
    """Returns whether Pillow's conversion, which looks at none of these tags, holds."""
    coefficients = tuple(float(value) for value in tags.get(_YCBCR_COEFFICIENTS, _BT_601))
    limits = tuple(float(value) for value in tags.get(_REFERENCE_BLACK_WHITE, _FULL_RANGE))
    return (
        (compression == _JPEG or tags.get(_YCBCR_SUBSAMPLING, (2, 2)) == (1, 1))
        and max(abs(a - b) for a, b in zip(coefficients, _BT_601, strict=True)) < 1e-3
        and limits == _FULL_RANGE
    )


def _describe(layout: _Layout) -> str:
    """Returns such as "8-bit signed grey, big-endian, LZW compression"."""
    bits, photometric, extra = layout.bits, layout.photometric, layout.extra
    depth = " and ".join(str(one) for one in sorted(set(bits)))
    format = " and ".join(_FORMATS.get(one, f"format {one}") for one in sorted(layout.formats))
    num_colours = 1
    if photometric is None:
        colour = "values without a photometric interpretation"
    else:
        colour = _PHOTOMETRICS.get(photometric, f"photometric interpretation {photometric}")
        num_colours = _NUM_COLOURS.get(photometric, 1)
    if photometric == _SEPARATED and layout.tags.get(_INKS, 1) != 1:
        colour = "inks other than CMYK"
    parts = [f"{depth}-bit {format} {colour}"]
    if layout.num_samples != num_colours + len(extra):
        parts.append(f"{layout.num_samples} samples a pixel")
    if extra:
        names = ", ".join(_EXTRAS.get(one, f"kind {one}") for one in extra)
        parts.append(f"extra samples ({names})")
    if layout.planes != 1:
        parts.append("one plane after another")
    if not layout.is_little:
        parts.append("big-endian")
    if layout.fill_order != 1:
        parts.append(f"fill order {layout.fill_order}")
    if layout.predictor != 1:
        parts.append(f"predictor {layout.predictor}")
    if layout.compression != _RAW:
        name = _COMPRESSIONS.get(layout.compression, f"number {layout.compression} as")
        parts.append(f"{name} compression")
    if layout.has_small_colours:
        parts.append("colours of 8 bits instead of 16")
    if photometric == _YCBCR:
        parts.append(f"subsampling {layout.tags.get(_YCBCR_SUBSAMPLING, (2, 2))}")
    return ", ".join(parts)
