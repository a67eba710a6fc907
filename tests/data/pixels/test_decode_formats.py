"""Pixels of every format, as an image and as a mask."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from expectations import grey, sixteen_to_eight
from image_writers import S, random_pixels, save, write_png, write_tiff
from PIL import Image

from rdvar_jax.data.pixels.decode import decode_image, decode_mask
from rdvar_jax.data.pixels.image_file import image_dimensions

L = random_pixels(S, S)
RGB = random_pixels(S, S, 3)
ALPHA = random_pixels(S, S, 1)
BITS = random_pixels(S, S, high=2)
WIDE = random_pixels(S, S, high=65536)
WIDE[0, :5] = 0, 128, 129, 65535, 65406  # both ends, and both sides of a rounding
WIDE_RGB = random_pixels(S, S, 3, high=65536)
CMYK = random_pixels(S, S, 4)
INDICES = random_pixels(S, S, high=5)
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 99, 199], [255, 255, 255]])


def palette_image() -> Image.Image:
    image = Image.fromarray(INDICES.astype(np.uint8)).convert("L")
    image = Image.frombytes("P", (S, S), image.tobytes())
    image.putpalette(COLOURS.astype(np.uint8).tobytes())
    return image


def save_palette(path: Path, **options) -> Path:
    palette_image().save(path, **options)
    return path


def bilevel(path: Path) -> Path:
    Image.fromarray(BITS.astype(bool)).save(path)
    return path


def cmyk_to_rgb(cmyk: np.ndarray) -> np.ndarray:
    return (255 - cmyk[..., :3]) * (255 - cmyk[..., 3:]) / 255


def twelve_bits(values: np.ndarray) -> bytes:
    """Two values in three bytes, the high bits first."""
    a, b = values.reshape(-1, 2).T
    return np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], axis=1).astype(np.uint8).tobytes()


TWELVE = WIDE >> 4
LA, RGBA = np.dstack([L, ALPHA]), np.dstack([RGB, ALPHA])

# file name: (how it is written, the RGB pixels it decodes to)
EXACT_FORMATS: dict[str, tuple[Callable[[Path], Path], np.ndarray]] = {
    **{f"grey.{suffix}": (lambda p: save(p, L), grey(L)) for suffix in ("png", "bmp", "tif")},
    **{f"rgb.{suffix}": (lambda p: save(p, RGB), RGB) for suffix in ("png", "bmp", "tif", "PNG")},
    **{f"bits.{suffix}": (bilevel, grey(BITS * 255)) for suffix in ("png", "bmp", "tif")},
    **{f"palette.{suffix}": (save_palette, COLOURS[INDICES]) for suffix in ("png", "bmp", "tif")},
    **{f"grey_alpha.{suffix}": (lambda p: save(p, LA), grey(L)) for suffix in ("png", "tif")},
    **{f"rgb_alpha.{suffix}": (lambda p: save(p, RGBA), RGB) for suffix in ("png", "tif")},
    "palette_alpha.tif": (
        lambda p: (palette_image().convert("PA").save(p), p)[1],
        COLOURS[INDICES],
    ),
    # A transparent colour or palette entry is a form of alpha, and Pillow warns about the last.
    "grey_key.png": (lambda p: save(p, L, transparency=int(L[0, 0])), grey(L)),
    "rgb_key.png": (lambda p: save(p, RGB, transparency=tuple(map(int, RGB[0, 0]))), RGB),
    "palette_key.png": (lambda p: save_palette(p, transparency=2), COLOURS[INDICES]),
    "palette_keys.png": (
        lambda p: save_palette(p, transparency=bytes([0, 50, 100, 150, 200])),
        COLOURS[INDICES],
    ),
    "compressed.tif": (lambda p: save(p, RGB, compression="tiff_lzw"), RGB),
    "cmyk.tif": (lambda p: save(p, CMYK.astype(np.uint8), "CMYK"), cmyk_to_rgb(CMYK)),
    # 16 bits of grey: both byte orders, and the 32-bit mode that Pillow uses for some files.
    "wide.png": (lambda p: write_png(p, WIDE, 16, 0), grey(sixteen_to_eight(WIDE))),
    "wide_pillow.png": (
        lambda p: save(p, WIDE.astype(np.uint16), "I;16"),
        grey(sixteen_to_eight(WIDE)),
    ),
    "wide_little.tif": (
        lambda p: write_tiff(p, WIDE.astype("<u2").tobytes(), (16,), 1),
        grey(sixteen_to_eight(WIDE)),
    ),
    "wide_big.tif": (
        lambda p: write_tiff(p, WIDE.astype(">u2").tobytes(), (16,), 1, ">"),
        grey(sixteen_to_eight(WIDE)),
    ),
    "wide_in_32.tif": (
        lambda p: save(p, WIDE.astype(np.int32), "I"),
        grey(sixteen_to_eight(WIDE)),
    ),
    "twelve.tif": (
        lambda p: write_tiff(p, twelve_bits(TWELVE), (12,), 1),
        grey(np.rint(TWELVE * (255 / 4095))),
    ),
    # 16 bits of colour: Pillow keeps the high byte.
    "wide_rgb.png": (lambda p: write_png(p, WIDE_RGB, 16, 2), WIDE_RGB >> 8),
    "wide_rgb_alpha.png": (
        lambda p: write_png(p, np.dstack([WIDE_RGB, WIDE]), 16, 6),
        WIDE_RGB >> 8,
    ),
    "wide_grey_alpha.png": (
        lambda p: write_png(p, np.dstack([WIDE, WIDE_RGB[..., 0]]), 16, 4),
        grey(WIDE >> 8),
    ),
    "wide_rgb.tif": (
        lambda p: write_tiff(p, WIDE_RGB.astype("<u2").tobytes(), (16, 16, 16), 2),
        WIDE_RGB >> 8,
    ),
}


@pytest.mark.parametrize("name", EXACT_FORMATS)
def test_pixels_of_every_lossless_format(tmp_path: Path, name: str):
    write, expected = EXACT_FORMATS[name]
    pixels = decode_image(write(tmp_path / name), S)
    assert (pixels.shape, pixels.dtype) == ((S, S, 3), np.uint8)
    assert pixels.flags.writeable
    # Pillow's CMYK conversion rounds twice; everything else is exact.
    tolerance = 1 if name.startswith("cmyk") else 0
    np.testing.assert_allclose(pixels.astype(int), expected, rtol=0, atol=tolerance)
    assert image_dimensions(tmp_path / name) == (S, S)


def opacity_of(name: str) -> np.ndarray | float:
    """What is transparent in a mask is not marked; a transparent colour is not an alpha channel."""
    stem = name.split(".")[0]
    if stem == "palette_key":
        return INDICES != 2
    if stem == "palette_keys":
        return np.array([0, 50, 100, 150, 200])[INDICES] / 255
    wide = {"wide_rgb_alpha": WIDE >> 8, "wide_grey_alpha": WIDE_RGB[..., 0] >> 8}
    alpha = wide.get(stem, ALPHA[..., 0] if stem in ("grey_alpha", "rgb_alpha") else None)
    return 1.0 if alpha is None else alpha / 255


@pytest.mark.parametrize("name", [name for name in EXACT_FORMATS if name.endswith(("png", "tif"))])
def test_masks_may_come_in_every_format_too(tmp_path: Path, name: str):
    write, rgb = EXACT_FORMATS[name]
    mask = decode_mask(write(tmp_path / name), S, None)
    assert (mask.shape, mask.dtype) == ((S, S), np.bool_)
    luma = np.asarray(rgb, float) @ [0.299, 0.587, 0.114] * opacity_of(name)
    clear = np.abs(luma - 127.5) > 2
    assert clear.sum() > S * S / 2
    np.testing.assert_array_equal(mask[clear], (luma > 127.5)[clear])


# JPEG is lossy, so it gets two halves of one colour each, on its blocks of 16, and the two columns
# on each side of the edge are not looked at: chroma is interpolated over it.
JPEG_COLOURS = {
    "L": ([40], [200]),
    "RGB": ([200, 30, 60], [20, 90, 220]),
    "CMYK": ([10, 200, 100, 30], [120, 0, 50, 90]),
}


@pytest.mark.parametrize("mode", JPEG_COLOURS)
@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "JPG"])
def test_pixels_of_jpeg(tmp_path: Path, mode: str, suffix: str):
    left, right = (np.array(colour) for colour in JPEG_COLOURS[mode])
    pixels = np.empty((32, 32, len(left)), np.uint8)
    pixels[:, :16], pixels[:, 16:] = left, right
    path = tmp_path / f"image.{suffix}"
    save(path, pixels[..., 0] if mode == "L" else pixels, mode, quality=95)
    if mode == "CMYK":
        left, right = cmyk_to_rgb(left), cmyk_to_rgb(right)
    decoded = decode_image(path, 32).astype(int)
    assert np.abs(decoded[:, :14] - left).max() <= 3
    assert np.abs(decoded[:, 18:] - right).max() <= 3


def test_first_picture_of_a_phone_jpeg(tmp_path: Path):
    photo = Image.new("RGB", (S, S), (200, 10, 10))
    preview = Image.new("RGB", (S, S), (10, 10, 200))
    photo.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[preview])
    assert decode_image(tmp_path / "a.jpg", S)[0, 0, 0] > 190
