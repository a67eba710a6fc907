"""Small TIFF files that tifffile does not write, from the specification; see tiff_variants.py."""

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image
from tiff_variants import COLOURS, HEIGHT, WIDTH, Variant

_SHORT, _LONG, _RATIONAL = 3, 4, 5
_SIZES = {_SHORT: ("H", 1), _LONG: ("L", 1), _RATIONAL: ("L", 2)}
RAW, FAX4, OLD_JPEG, JPEG, DEFLATE, PACKBITS = 1, 4, 6, 7, 8, 32773

Tags = Mapping[int, tuple[int, ...]]


def tiff(pages: list[tuple[Tags, list[bytes]]], order: str = "<") -> bytes:
    """Returns a TIFF of pages, each of tags and strips; WIDTH x HEIGHT unless they say else."""
    out = io.BytesIO((b"II" if order == "<" else b"MM") + struct.pack(order + "HL", 42, 0))
    link = 4
    for own_tags, strips in pages:
        out.seek(0, io.SEEK_END)
        offsets = []
        for strip in strips:
            offsets.append(out.tell())
            out.write(strip + bytes(len(strip) % 2))
        tags = {256: (WIDTH,), 257: (HEIGHT,), 259: (RAW,), 273: tuple(offsets)}
        tags |= {278: (HEIGHT,), 279: tuple(len(strip) for strip in strips)} | dict(own_tags)
        entries = []
        for tag, values in sorted(tags.items()):
            kind = _RATIONAL if tag in (529, 532) else _LONG if max(values) > 65535 else _SHORT
            if tag in (273, 279):
                kind = _LONG
            letter, per_value = _SIZES[kind]
            data = struct.pack(f"{order}{len(values)}{letter}", *values)
            if len(data) > 4:
                at = out.tell()
                out.write(data + bytes(len(data) % 2))
                data = struct.pack(order + "L", at)
            count = len(values) // per_value
            entries.append(struct.pack(order + "HHL", tag, kind, count) + data.ljust(4, b"\0"))
        directory = out.tell()
        out.write(struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4))
        out.seek(link)
        out.write(struct.pack(order + "L", directory))
        link = directory + 2 + 12 * len(entries)
    return out.getvalue()


def pixels(*shape: int, high: int = 256) -> np.ndarray:
    return np.random.default_rng(1).integers(0, high, (HEIGHT, WIDTH, *shape))


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, 2)


def packed(values: np.ndarray, bits: int) -> bytes:
    """Returns values with the high bit first, each row from a new byte."""
    shifts = np.arange(bits)[::-1]
    each = (values[..., None] >> shifts & 1).reshape(len(values), -1)
    return np.packbits(each.astype(np.uint8), axis=1).tobytes()


def turned_round(data: bytes) -> bytes:
    """Returns the bytes with their bits in the other order (fill order 2)."""
    each = np.unpackbits(np.frombuffer(data, np.uint8)).reshape(-1, 8)
    return np.packbits(each[:, ::-1], axis=1).tobytes()


def _encoded(data: bytes, compression: int) -> bytes:
    if compression == DEFLATE:
        return zlib.compress(data)
    if compression == PACKBITS:
        return imagecodecs.packbits_encode(data)
    return data


def _variant(
    tags: Tags,
    strips: bytes | list[bytes],
    rgb: np.ndarray | None,
    is_read: bool,
    order: str = "<",
    tolerance: int = 0,
    samples: np.ndarray | None = None,
) -> Variant:
    compression = tags.get(259, (RAW,))[0]
    all_strips = strips if isinstance(strips, list) else [strips]
    encoded = [_encoded(strip, compression) for strip in all_strips]
    if tags.get(266) == (2,):
        encoded = [turned_round(strip) for strip in encoded]
    content = tiff([(tags, encoded)], order)
    return Variant(lambda path: path.write_bytes(content), samples, rgb, is_read, tolerance)


def _ycbcr_to_rgb(values: np.ndarray) -> np.ndarray:
    y, cb, cr = np.moveaxis(values.astype(float), -1, 0)
    cb, cr = cb - 128, cr - 128
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], -1)
    return np.clip(np.rint(rgb), 0, 255)


_L, _RGB, _CMYK, _WIDE = pixels(), pixels(3), pixels(4), pixels(high=65536)
_GREY = grey(_L)
_BYTES, _RGB_BYTES = _L.astype(np.uint8).tobytes(), _RGB.astype(np.uint8).tobytes()
_L_TAGS: Tags = {258: (8,), 262: (1,), 277: (1,)}
_RGB_TAGS: Tags = {258: (8, 8, 8), 262: (2,), 277: (3,)}


def variants() -> Iterator[tuple[str, Variant]]:
    """Yields the name and the file of every layout."""
    for order in "<>":
        for name, variant in _of_order(order):
            yield f"{name}-{'little' if order == '<' else 'big'}", variant
    yield from _of_other_codecs()


def _of_order(order: str) -> Iterator[tuple[str, Variant]]:
    is_little = order == "<"
    for compression, codec in ((RAW, "raw"), (DEFLATE, "deflate"), (PACKBITS, "packbits")):
        extra = {259: (compression,)}
        for bits in (1, 2, 4, 8, 12):
            for photometric in (1, 0):
                for name, variant in _grey(bits, photometric, compression, order):
                    yield f"{name}-{codec}", variant
        for bits in (1, 2, 4, 8):
            values = pixels(high=2**bits)
            colours = COLOURS[: 2**bits]
            tags = {258: (bits,), 262: (3,), 277: (1,), 320: tuple(map(int, colours.T.ravel()))}
            shown = colours[values] >> 8
            small = {320: tuple(map(int, (colours >> 8).T.ravel()))}
            for name, more, is_read in (
                (f"palette{bits}-{codec}", {}, True),
                (f"palette{bits}-fill-{codec}", {266: (2,)}, bits == 8 or compression != RAW),
                (f"palette{bits}-of-8-bit-colours-{codec}", small, False),
            ):
                yield (
                    name,
                    _variant(
                        tags | extra | more,
                        packed(values, bits),
                        shown,
                        is_read,
                        order,
                        samples=values,
                    ),
                )
        for value, is_read in ((0, True), (1, False), (2, True)):
            tags = {258: (8, 8), 262: (3,), 277: (2,), 338: (value,)} | extra
            tags[320] = tuple(map(int, COLOURS.T.ravel()))
            data = np.dstack([_L, pixels(high=200)]).astype(np.uint8).tobytes()
            yield (
                f"palette-extra{value}-{codec}",
                _variant(tags, data, COLOURS[_L] >> 8, is_read, order),
            )
        wide = _WIDE.astype(order + "u2").tobytes()
        tags = {258: (16,), 262: (1,), 277: (1,)} | extra
        shown = grey(np.rint(_WIDE / 257))
        yield (
            f"16bit-planes-{codec}",
            _variant(tags | {284: (2,)}, wide, shown, compression != RAW, order),
        )
        yield f"16bit-fill-{codec}", _variant(tags | {266: (2,)}, wide, shown, is_little, order)
        tags = {258: (8, 8, 8), 262: (6,), 277: (3,)} | extra
        shown = _ycbcr_to_rgb(_RGB)
        whole = tags | {530: (1, 1)}
        yield f"ycbcr-{codec}", _variant(whole, _RGB_BYTES, shown, True, order, 1)
        for name, more in {
            "subsampled": {530: (2, 2)},
            "by-default": {530: (2, 2)},
            "planes": {530: (1, 1), 284: (2,)},
            "black-and-white": {530: (1, 1), 532: (15, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1)},
            "bt-709": {530: (1, 1), 529: (2126, 10000, 7152, 10000, 722, 10000)},
        }.items():
            changed = tags | more
            if name == "by-default":
                del changed[530]
            yield f"ycbcr-{name}-{codec}", _variant(changed, _RGB_BYTES, None, False, order)
        for inks, is_read in ((1, True), (2, False)):
            tags = {258: (8,) * 4, 262: (5,), 277: (4,), 332: (inks,)} | extra
            white = 255 - _CMYK[..., 3:]
            shown = white - np.rint(_CMYK[..., :3] * white / 255)
            data = _CMYK.astype(np.uint8).tobytes()
            yield f"cmyk-inks{inks}-{codec}", _variant(tags, data, shown, is_read, order)
    yield from _of_odd_tags(order)


def _grey(
    bits: int, photometric: int, compression: int, order: str
) -> Iterator[tuple[str, Variant]]:
    values = pixels(high=2**bits)
    shown = grey(np.rint(values * 255 / (2**bits - 1)))
    if photometric == 0:
        shown = 255 - shown
    tags = {258: (bits,), 262: (photometric,), 277: (1,), 259: (compression,)}
    is_known = bits != 12 or (order == "<" and photometric == 1)
    whole, rows = packed(values, bits), [packed(row[None], bits) for row in values]
    # tifffile does not read odd bits, big-endian.
    samples = None if bits == 12 and order == ">" else values

    def one(more: Tags, is_read: bool, strips: bytes | list[bytes] = whole) -> Variant:
        return _variant(tags | dict(more), strips, shown, is_read, order, samples=samples)

    name = f"{bits}bit-photometric{photometric}"
    yield name, one({}, is_known)
    yield f"{name}-rows", one({278: (1,)}, is_known, rows)
    is_turned = bits <= 8 and (photometric == 1 or compression != RAW or bits <= 2)
    yield f"{name}-fill", one({266: (2,)}, is_turned)
    is_one_plane = is_known if compression != RAW else bits in (1, 8) and photometric == 1
    yield f"{name}-planes", one({284: (2,)}, is_one_plane)


def _of_odd_tags(order: str) -> Iterator[tuple[str, Variant]]:
    def rgb(tags: Tags, is_read: bool, data: bytes = _RGB_BYTES, shown=_RGB) -> Variant:
        return _variant(dict(_RGB_TAGS) | dict(tags), data, shown, is_read, order)

    def one(tags: Tags, is_read: bool, data: bytes = _BYTES, shown=_GREY) -> Variant:
        return _variant(dict(_L_TAGS) | dict(tags), data, shown, is_read, order)

    yield "bits-said-once", rgb({258: (8,)}, True)
    yield "bits-said-too-often", one({258: (8, 8, 8)}, True)
    four = np.dstack([_RGB, _L]).astype(np.uint8).tobytes()
    yield "fourth-sample-unnamed", rgb({258: (8,) * 4, 277: (4,)}, True, four)
    yield "fourth-sample-999", rgb({258: (8,) * 4, 277: (4,), 338: (999,)}, True, four)
    yield "second-sample-unnamed", one({258: (8, 8), 277: (2,)}, False, _BYTES * 2)
    yield "bits-565", rgb({258: (5, 6, 5)}, False)
    yield "formats-mixed", rgb({339: (1, 2, 1)}, False)
    yield "format-undefined", one({339: (4,)}, False)
    yield "format-signed", one({339: (2,)}, False)
    yield "format-each", rgb({339: (1, 1, 1)}, True)
    yield "fill-rgb", rgb({266: (2,)}, True)
    yield "fill-rgb-deflate", rgb({266: (2,), 259: (DEFLATE,)}, True)
    for num, bits in ((1, 8), (2, 8), (3, 8), (1, 16)):
        # Colours that are multiplied by an opaque alpha are what they were.
        for alpha, is_read in ((2**bits - 1, True), (2 ** (bits - 1), False)):
            values = np.full((HEIGHT, WIDTH, 3 + num), alpha)
            values[..., :3] = np.minimum(_RGB << (bits - 8), alpha)
            tags = {258: (bits,) * (3 + num), 277: (3 + num,), 338: (1, 0, 0)[:num]}
            data = values.astype(f"{order}u{bits // 8}").tobytes()
            shown = _RGB if is_read else None
            yield f"associated-{num}-{bits}-{alpha}", rgb(tags, is_read, data, shown)
    without = {tag: values for tag, values in _L_TAGS.items() if tag != 262}
    yield "without-photometric", _variant(without, _BYTES, None, False, order)
    for photometric in (4, 9, 10, 32803, 32844, 34892):
        yield f"photometric-{photometric}", one({262: (photometric,)}, False)
    for compression in (OLD_JPEG, 9, 32809, 34712, 34887, 50002, 65000):
        yield f"compression-{compression}", one({259: (compression,)}, False)
    yield "predictor-raw", one({317: (2,)}, False)  # readers differ
    yield "predictor-packbits", one({317: (2,), 259: (PACKBITS,)}, False)
    yield "predictor-3", one({317: (3,), 259: (DEFLATE,)}, False)
    yield "one-endless-strip", one({278: (2**32 - 1,)}, True)
    yield "fax-of-8-bits", one({259: (FAX4,)}, False)


def _of_other_codecs() -> Iterator[tuple[str, Variant]]:
    bits = pixels(high=2)
    picture = Image.fromarray(bits.astype(bool))
    for codec in ("group3", "group4", "tiff_ccitt"):
        for photometric in (0, 1):

            def save(path: Path, codec=codec, photometric=photometric) -> None:
                picture.save(path, compression=codec, tiffinfo={262: photometric})

            yield f"{codec}-photometric{photometric}", Variant(save, None, grey(bits * 255), True)
    ramp = np.stack(np.meshgrid(np.arange(WIDTH) * 9, np.arange(HEIGHT) * 12), -1)
    colours = np.dstack([ramp, 255 - ramp[..., :1]]).clip(0, 255).astype(np.uint8)
    planes = np.ascontiguousarray(np.moveaxis(colours, -1, 0))
    grey_options = {"photometric": "minisblack"}
    rgb = {"photometric": "rgb"}
    as_planes = rgb | {"planarconfig": "separate"}
    subsampled = rgb | {"subsampling": (2, 2)}
    tiled = {"tile": (16, 16)}
    for name, samples, options, is_read in (
        ("jpeg-grey", colours[..., 0], grey_options | {"compression": "jpeg"}, True),
        ("jpeg-grey-tiled", colours[..., 0], grey_options | tiled | {"compression": "jpeg"}, True),
        ("jpeg-ycbcr", colours, rgb | {"compression": "jpeg"}, True),
        ("jpeg-subsampled", colours, subsampled | {"compression": "jpeg"}, True),
        ("jpeg-subsampled-tiled", colours, subsampled | tiled | {"compression": "jpeg"}, True),
        ("jpeg-planes", planes, as_planes | {"compression": "jpeg"}, True),
        ("lzma", colours, rgb | {"compression": "lzma"}, True),
        ("lzma-planes-tiled", planes, as_planes | tiled | {"compression": "lzma"}, True),
        ("old-deflate", colours, rgb | {"compression": 32946, "predictor": True}, True),
        ("webp", colours, rgb | {"compression": "webp"}, False),
        ("jpeg-2000", colours, rgb | {"compression": "jpeg2000"}, False),
        ("lerc", colours, rgb | {"compression": "lerc"}, False),
    ):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, samples, metadata=None, **options)
        content = buffer.getvalue()
        # Of a lossy file, the pixels are what another reader says.
        decoded = tifffile.imread(io.BytesIO(content))
        shown = np.moveaxis(decoded, 0, -1) if samples is planes else decoded
        shown = grey(shown) if shown.ndim == 2 else shown

        def put(path: Path, content=content) -> None:
            path.write_bytes(content)

        yield name, Variant(put, decoded, shown, is_read)
    for order in "<>":

        def big(path: Path, order=order) -> None:
            samples = _RGB.astype(np.uint8)
            tifffile.imwrite(
                path, samples, photometric="rgb", bigtiff=True, byteorder=order, metadata=None
            )

        yield f"bigtiff-{order}", Variant(big, _RGB.astype(np.uint8), _RGB, order == "<")
