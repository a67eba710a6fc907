"""Every layout of an image file: the right pixels to the last bit, or refused by name.

What a file holds is known from how it was made, and tifffile, which shares no code with Pillow,
returns the same samples of it. Only conversions that round (YCbCr, JPEG) have a tolerance.
"""

from pathlib import Path

import numpy as np
import PIL
import plain_variants
import pytest
import tiff_by_hand
import tiff_variants
import tifffile
from tiff_variants import Variant

from rdvar_jax.data.pixels.decode import decode_original
from rdvar_jax.data.pixels.image_file import image_dimensions
from rdvar_jax.errors import DataError

TIFFS = dict(tiff_variants.variants()) | {
    f"by-hand-{name}": variant for name, variant in tiff_by_hand.variants()
}
OTHERS = dict(plain_variants.variants())
# What a sentence must say of a file that is refused.
NAMES_OF_KINDS = (
    *("is a TIFF of", "is a TIFF whose", "is a big-endian", "is a BMP of", "it is a "),
    *("is damaged or cannot be decoded by Pillow", "holds more than one picture"),
)


def check(path: Path, variant: Variant) -> None:
    variant.write(path)
    try:
        pixels = decode_original(path)
    except DataError as error:
        message = str(error)
        # Older versions read fewer kinds of TIFF, and none of them wrongly.
        is_old = int(PIL.__version__.split(".")[0]) < 13 and "update Pillow" in message
        assert is_old or not variant.is_read, message
        assert message.startswith(str(path)) and message.endswith(".") and "save" in message
        assert any(part in message for part in NAMES_OF_KINDS), message
        return
    assert variant.is_read, f"{path} is read, although it is unclear what it means"
    assert variant.rgb is not None and pixels.dtype == np.uint8
    assert pixels.shape == variant.rgb.shape
    assert np.abs(pixels.astype(int) - variant.rgb).max() <= variant.tolerance, path
    assert image_dimensions(path) == pixels.shape[1::-1]


def groups(variants: dict[str, Variant]) -> dict[str, dict[str, Variant]]:
    """Files by the first words of their names: a test of each file would take longer than it."""
    found: dict[str, dict[str, Variant]] = {}
    for name, variant in variants.items():
        found.setdefault("-".join(name.split("-")[:3]), {})[name] = variant
    return found


TIFF_GROUPS = groups(TIFFS)


@pytest.mark.parametrize("group", TIFF_GROUPS)
def test_tiff(tmp_path: Path, group: str):
    for name, variant in TIFF_GROUPS[group].items():
        path = tmp_path / f"{name}.tif"
        check(path, variant)
        if variant.samples is not None:
            np.testing.assert_array_equal(tifffile.imread(path), variant.samples, err_msg=name)


@pytest.mark.parametrize("name", OTHERS)
def test_other_formats(tmp_path: Path, name: str):
    check(tmp_path / name, OTHERS[name])


def test_heic(tmp_path: Path):
    pytest.importorskip("pillow_heif", reason="needs make install")
    found = dict(plain_variants.heics())
    assert len(found) == 5
    for name, variant in found.items():
        check(tmp_path / name, variant)


def test_the_matrix_is_large_and_most_of_it_is_read():
    assert len(TIFFS) >= 1000 and len(OTHERS) >= 100
    assert sum(variant.is_read for variant in TIFFS.values()) >= 600
    assert sum(variant.samples is not None for variant in TIFFS.values()) >= 800
    assert sum(variant.is_read for variant in OTHERS.values()) >= 80
    exact = [v for v in (TIFFS | OTHERS).values() if v.is_read and v.tolerance == 0]
    assert len(exact) >= 680
