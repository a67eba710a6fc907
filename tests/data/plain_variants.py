"""Small PNG, JPEG, BMP, WebP, AVIF and HEIC files of every kind, with the pixels that they mean."""

import io
import struct
import zlib
from collections.abc import Iterator

import imagecodecs
import numpy as np
from PIL import ExifTags, Image, features
from tiff_by_hand import grey, packed, pixels
from tiff_variants import HEIGHT, WIDTH, Variant

_PALETTE = np.random.default_rng(3).integers(0, 256, (256, 3))
# Of each pass of Adam7: first row and column, and the steps to the next ones.
_PASSES = [
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
]


def variants() -> Iterator[tuple[str, Variant]]:
    """Yields file name and file of each; the suffix says the format."""
    yield from _pngs()
    yield from _bmps()
    yield from _jpegs()
    yield from _webps()
    if "avif" in features.modules and features.check_module("avif"):
        yield from _avifs()


def chunk(kind: bytes, data: bytes) -> bytes:
    """Returns one chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    values: np.ndarray, bits: int, kind: int, before: bytes = b"", after: bytes = b"", adam=False
) -> bytes:
    """Returns a PNG from its specification.

    Args:
        values: of the samples, H x W or H x W x C.
        bits: of a sample.
        kind: the colour type.
        before: chunks in front of the pixels.
        after: chunks behind them.
        adam: interlaced.
    """
    height, width = values.shape[:2]
    passes = [values]
    if adam:
        passes = [values[top::down, left::right] for top, left, down, right in _PASSES]
    lines = []
    for part in passes:
        flat = part.reshape(len(part), -1)
        # The filters "none" and "up", in turn.
        above = np.zeros(0, np.uint8)
        for index, row in enumerate(flat if flat.size else []):
            line = np.frombuffer(packed(row[None], bits), np.uint8)
            up = index % 2
            lines.append(bytes([2 * up]) + (line - above if up else line).tobytes())
            above = line
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, adam)
    data = chunk(b"IDAT", zlib.compress(b"".join(lines)))
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + before + data + after + chunk(b"IEND", b"")


def _file(content: bytes, rgb: np.ndarray | None, is_read: bool = True, tolerance=0) -> Variant:
    return Variant(lambda path: path.write_bytes(content), None, rgb, is_read, tolerance)


def _pngs() -> Iterator[tuple[str, Variant]]:
    palette = chunk(b"PLTE", _PALETTE.astype(np.uint8).tobytes())
    for adam in (False, True):
        name = "-adam7" if adam else ""
        for bits in (1, 2, 4, 8, 16):
            values = pixels(high=2**bits)
            shown = grey(np.rint(values * 255 / (2**bits - 1)))
            key = chunk(b"tRNS", struct.pack(">H", int(values[0, 0])))
            yield f"grey{bits}{name}.png", _file(png(values, bits, 0, adam=adam), shown)
            yield f"grey{bits}-key{name}.png", _file(png(values, bits, 0, key, adam=adam), shown)
        for bits in (1, 2, 4, 8):
            values = pixels(high=2**bits)
            of_bits = chunk(b"PLTE", _PALETTE[: 2**bits].astype(np.uint8).tobytes())
            alphas = of_bits + chunk(b"tRNS", bytes(range(2**bits))[::-1])
            for more, before in (("", of_bits), ("-alpha", alphas)):
                content = png(values, bits, 3, before, adam=adam)
                yield f"palette{bits}{more}{name}.png", _file(content, _PALETTE[values])
        for bits in (8, 16):
            values = pixels(4, high=2**bits)
            high = values >> (bits - 8)
            yield (
                f"grey-alpha{bits}{name}.png",
                _file(png(values[..., :2], bits, 4, adam=adam), grey(high[..., 0])),
            )
            rgb, shown = values[..., :3], high[..., :3]
            yield f"rgb{bits}{name}.png", _file(png(rgb, bits, 2, adam=adam), shown)
            key = chunk(b"tRNS", struct.pack(">HHH", *map(int, values[0, 0, :3])))
            yield f"rgb{bits}-key{name}.png", _file(png(rgb, bits, 2, key, adam=adam), shown)
            yield f"rgba{bits}{name}.png", _file(png(values, bits, 6, adam=adam), shown)
            suggested = png(rgb, bits, 2, palette, adam=adam)
            yield f"rgb{bits}-suggested-palette{name}.png", _file(suggested, shown)


def _bmp(bits: int, data: bytes, compression=0, palette=b"", masks=b"", height=HEIGHT) -> bytes:
    header = struct.pack("<LllHHLLllLL", 40, WIDTH, height, 1, bits, compression, len(data), 0, 0,
                         len(palette) // 4, 0)  # fmt: skip
    start = 14 + len(header) + len(masks) + len(palette)
    file_header = struct.pack("<2sLHHL", b"BM", start + len(data), 0, 0, start)
    return file_header + header + masks + palette + data


def _padded(rows: np.ndarray | bytes, height: int = HEIGHT) -> bytes:
    """Returns rows of bytes, the lowest first, each filled to a multiple of four."""
    each = np.frombuffer(bytes(rows), np.uint8).reshape(height, -1)
    return np.pad(each[::-1], ((0, 0), (0, -each.shape[1] % 4))).tobytes()


def _bmps() -> Iterator[tuple[str, Variant]]:
    bgr = _PALETTE[:, ::-1].astype(np.uint8)
    for bits in (1, 4, 8):
        values = pixels(high=2**bits)
        colours = np.pad(bgr[: 2**bits], ((0, 0), (0, 1))).tobytes()
        data = _padded(packed(values, bits))
        yield f"palette{bits}.bmp", _file(_bmp(bits, data, 0, colours), _PALETTE[values])
        shades = np.rint(np.arange(2**bits) * 255 / (2**bits - 1)).astype(np.uint8)
        for name, ramp in (("grey", shades), ("white-first", shades[::-1])):
            of_ramp = np.pad(np.repeat(ramp[:, None], 3, 1), ((0, 0), (0, 1))).tobytes()
            yield f"{name}{bits}.bmp", _file(_bmp(bits, data, 0, of_ramp), grey(ramp[values]))
        core = struct.pack("<LHHHH", 12, WIDTH, HEIGHT, 1, bits) + bgr[: 2**bits].tobytes()
        start = struct.pack("<2sLHHL", b"BM", 14 + len(core) + len(data), 0, 0, 14 + len(core))
        yield f"os2-{bits}.bmp", _file(start + core + data, _PALETTE[values])
    few = pixels(high=5)
    colours = np.pad(bgr[:5], ((0, 0), (0, 1))).tobytes()
    yield "few-colours.bmp", _file(_bmp(8, _padded(packed(few, 8)), 0, colours), _PALETTE[few])
    runs = b"".join(
        b"".join(bytes([1, value]) for value in row) + b"\0\0" for row in few[::-1].tolist()
    )
    yield "rle8.bmp", _file(_bmp(8, runs + b"\0\1", 1, colours), _PALETTE[few])
    few = few.repeat(2, 1)[:, :WIDTH]
    few[:, 1::2] = few[:, : WIDTH - 1 : 2]
    runs = b"".join(
        b"".join(bytes([min(2, WIDTH - x), int(row[x]) * 17]) for x in range(0, WIDTH, 2)) + b"\0\0"
        for row in few[::-1]
    )
    yield "rle4.bmp", _file(_bmp(4, runs + b"\0\1", 2, colours), _PALETTE[few])
    rgb = pixels(3)
    data = rgb[..., ::-1].astype(np.uint8)
    yield "rgb24.bmp", _file(_bmp(24, _padded(data.tobytes())), rgb)
    top_down = np.pad(data.reshape(HEIGHT, -1), ((0, 0), (0, -3 * WIDTH % 4))).tobytes()
    yield "top-down.bmp", _file(_bmp(24, top_down, height=-HEIGHT), rgb)
    wide = np.dstack([data, pixels().astype(np.uint8)])
    yield "rgb32.bmp", _file(_bmp(32, _padded(wide.tobytes())), rgb)
    masks = struct.pack("<LLL", 0xFF0000, 0xFF00, 0xFF)
    yield "fields32.bmp", _file(_bmp(32, _padded(wide.tobytes()), 3, masks=masks), rgb)
    swapped = np.dstack([wide[..., 2], wide[..., 1], wide[..., 0], wide[..., 3]])
    masks = struct.pack("<LLL", 0xFF, 0xFF00, 0xFF0000)
    content = _bmp(32, _padded(swapped.tobytes()), 3, masks=masks)
    yield "fields32-rgb.bmp", _file(content, rgb, False)
    odd = struct.pack("<LLL", 0x3FF00000, 0xFFC00, 0x3FF)
    yield "fields32-of-10.bmp", _file(_bmp(32, _padded(wide.tobytes()), 3, masks=odd), None, False)
    r, g, b = np.moveaxis(rgb >> 3, -1, 0)
    shown = np.stack([r, g, b], -1) * 255 // 31
    data = _padded((r << 10 | g << 5 | b).astype("<u2").tobytes())
    yield "rgb16.bmp", _file(_bmp(16, data), shown)
    masks = struct.pack("<LLL", 0x7C00, 0x3E0, 0x1F)
    yield "fields555.bmp", _file(_bmp(16, data, 3, masks=masks), shown)
    g = rgb[..., 1] >> 2
    data = _padded((r << 11 | g << 5 | b).astype("<u2").tobytes())
    shown = np.stack([r * 255 // 31, g * 255 // 63, b * 255 // 31], -1)
    masks = struct.pack("<LLL", 0xF800, 0x7E0, 0x1F)
    yield "fields565.bmp", _file(_bmp(16, data, 3, masks=masks), shown)


def _jpegs() -> Iterator[tuple[str, Variant]]:
    rgb = _smooth()
    for mode in ("L", "RGB"):
        picture = Image.fromarray(rgb).convert(mode)
        for subsampling in (0, 1, 2) if mode == "RGB" else (0,):
            for progressive in (False, True):
                buffer = io.BytesIO()
                picture.save(
                    buffer, "JPEG", subsampling=subsampling, progressive=progressive, quality=90
                )
                # The same library in another package: equal to the last bit.
                decoded = imagecodecs.jpeg8_decode(buffer.getvalue())
                shown = grey(decoded) if mode == "L" else decoded
                yield (
                    f"{mode}-{subsampling}{'-progressive' * progressive}.jpg",
                    _file(buffer.getvalue(), shown),
                )
    cmyk = np.full((HEIGHT, WIDTH, 4), (10, 200, 100, 30), np.uint8)
    buffer = io.BytesIO()
    Image.frombytes("CMYK", (WIDTH, HEIGHT), cmyk.tobytes()).save(buffer, "JPEG", quality=100)
    ink = cmyk.astype(int)
    shown = (255 - ink[..., :3]) * (255 - ink[..., 3:]) / 255
    yield "cmyk.jpg", _file(buffer.getvalue(), shown, tolerance=3)
    plain = imagecodecs.jpeg8_encode(rgb, colorspace="rgb", outcolorspace="rgb", level=90)
    yield "stored-as-rgb.jpg", _file(plain, imagecodecs.jpeg8_decode(plain))
    twelve = imagecodecs.jpeg8_encode(rgb.astype(np.uint16) * 16, bitspersample=12)
    yield "12-bit.jpg", _file(twelve, None, False)
    lossless = imagecodecs.jpeg8_encode(rgb[..., 0].copy(), lossless=True)
    yield "lossless.jpg", _file(lossless, grey(rgb[..., 0]))
    yield "jpeg-2000.jpg", _file(imagecodecs.jpeg2k_encode(rgb, level=0), None, False)


def _webps() -> Iterator[tuple[str, Variant]]:
    rgba = pixels(4).astype(np.uint8)
    for lossless in (False, True):
        for mode in ("RGB", "RGBA"):
            picture = Image.fromarray(rgba).convert(mode)
            content = _saved(picture, "WEBP", lossless=lossless, exact=True)
            # The same library in another package; lossless pixels are known from how it was made.
            shown = rgba if lossless else imagecodecs.webp_decode(content)
            # Read whatever its suffix, like the other formats.
            for suffix in ("webp", "png"):
                name = f"webp-{mode}{'-lossless' * lossless}.{suffix}"
                yield name, _file(content, shown[..., :3])
    picture = Image.fromarray(rgba[..., :3])
    yield "webp-turned.webp", _turned(picture, "WEBP", lossless=True)
    one = {"save_all": True, "append_images": [], "lossless": True}
    yield "webp-of-one-frame.webp", _file(_saved(picture, "WEBP", **one), rgba[..., :3])
    two = {"save_all": True, "append_images": [picture.rotate(180)]}
    yield "animated.webp", _file(_saved(picture, "WEBP", **two), None, False)


def _avifs() -> Iterator[tuple[str, Variant]]:
    picture = Image.fromarray(_smooth())
    for mode in ("L", "RGB", "RGBA"):
        content = _saved(picture.convert(mode), "AVIF", quality=100, subsampling="4:4:4")
        # Another decoder of the format may round YCbCr to RGB otherwise.
        shown = imagecodecs.avif_decode(content)
        shown = grey(shown) if shown.ndim == 2 else shown[..., :3]
        yield f"{mode}.avif", _file(content, shown, tolerance=2)
    ten = imagecodecs.avif_encode(_smooth().astype(np.uint16) * 4, bitspersample=10, level=100)
    yield "10-bit.avif", _file(ten, _smooth(), tolerance=4)
    yield "turned.avif", _turned(picture, "AVIF", 4, quality=100, subsampling="4:4:4")
    two = {"save_all": True, "append_images": [picture.rotate(180)]}
    yield "animated.avif", _file(_saved(picture, "AVIF", **two), None, False)


def heics() -> Iterator[tuple[str, Variant]]:
    """Yields HEIC files like `variants`; they need pillow_heif."""
    from pillow_heif import register_heif_opener

    register_heif_opener()
    picture = Image.fromarray(_smooth())
    options = {"quality": -1, "chroma": "444"}  # -1 is lossless, but for YCbCr
    for mode in ("L", "RGB", "RGBA"):
        content = _saved(picture.convert(mode), "HEIF", **options)
        shown = grey(np.array(picture.convert("L"))) if mode == "L" else _smooth()
        yield f"{mode}.heic", _file(content, shown, tolerance=3)
    yield "turned.heic", _turned(picture, "HEIF", 3, **options)
    two = {"save_all": True, "append_images": [picture.rotate(180)]}
    yield "two-pictures.heic", _file(_saved(picture, "HEIF", **two), None, False)


def _smooth() -> np.ndarray:
    """Returns colours that lossy formats keep, uint8 [HEIGHT, WIDTH, 3]."""
    ramps = np.stack(np.meshgrid(np.arange(WIDTH) * 9, np.arange(HEIGHT) * 12), -1)
    return np.dstack([ramps, 255 - ramps[..., :1]]).clip(0, 255).astype(np.uint8)


def _saved(picture: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def _turned(picture: Image.Image, form: str, tolerance: float = 0, **options) -> Variant:
    """Returns a file that is to be turned by 90 degrees, clockwise, when shown."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    content = _saved(picture, form, exif=exif.tobytes(), **options)
    return _file(content, np.rot90(np.asarray(picture), -1), tolerance=tolerance)
