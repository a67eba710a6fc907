"""Choice of a gallery's images, and content of its pictures."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from rdvar_jax.report.gallery import SIDE, make_gallery, worst_rows


def picture(uri: str) -> np.ndarray:
    kind, text = uri.split(",")
    assert kind == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        assert image.size == (SIDE, SIDE)
        return np.asarray(image).astype(int)


def sample_set(size=32):
    images = np.full((4, size, size, 3), 120, np.uint8)
    masks = np.zeros((4, size, size), bool)
    masks[2:, 8:16, 8:16] = True
    maps = np.where(masks, 1.0, 0.0).astype(np.float32)
    return images, masks, maps


def test_defective_with_low_scores_then_good_with_high_ones():
    scores, labels = np.array([0.1, 0.5, 0.3, 0.9, 0.2]), np.array([0, 0, 1, 1, 0])
    assert worst_rows(scores, labels, 9) == [2, 3, 1, 4, 0]
    assert worst_rows(scores, labels, 1) == [2, 1]
    assert worst_rows(scores, labels * 0, 2) == [3, 1]
    assert worst_rows(scores, None, 3) == [3, 1, 2]
    assert worst_rows(scores[:0], labels[:0], 3) == []


def test_pictures_show_image_heat_and_the_edge_of_the_defect():
    images, masks, maps = sample_set()
    labels = np.array([0, 0, 1, 1])
    shown = make_gallery(images, masks, maps, np.arange(4.0), labels, (0.0, 1.0))
    assert [item["row"] for item in shown] == [2, 3, 1, 0]
    valid_mask, far = (slice(90, 150), slice(90, 150)), (slice(200, 300), slice(200, 300))
    assert np.abs(picture(shown[0]["image"]) - 120).max() <= 3
    heat = picture(shown[0]["heat"])
    assert np.abs(heat[far] - 120).max() <= 6
    red, _, blue = heat[valid_mask].reshape(-1, 3).mean(axis=0)
    assert red > blue + 60
    outline = picture(shown[0]["outline"])
    opaque = outline[..., 3] > 0
    assert not opaque[valid_mask].any() and not opaque[far].any()
    # The mask is rows and columns 80 to 159 of the picture; 78 and 79 are white, 77 is black.
    assert (outline[100, [77, 78, 79]] == [[0, 0, 0, 255], [255] * 4, [255] * 4]).all()
    assert not opaque[100, [76, 80]].any()
    assert shown[2]["outline"] is None


def test_a_defect_of_one_pixel_in_a_large_image_keeps_its_edge():
    images, masks, maps = sample_set(4 * SIDE)
    masks[2:] = False
    masks[2, 601, 601] = True
    shown = make_gallery(images[2:3], masks[2:3], maps[2:3], np.zeros(1), np.ones(1), (0.0, 1.0))
    assert (picture(shown[0]["outline"])[..., 3] > 0).sum() == 7**2 - 1


def test_pictures_keep_the_shape_of_the_images():
    images, masks, maps = sample_set()
    cut = slice(16, None)  # the half with no defect: 16 rows of 32 columns
    arrays = images[:, cut], masks[:, cut], maps[:, cut]
    shown = make_gallery(*arrays, np.arange(4.0), np.array([0, 0, 1, 1]), (0.0, 1.0), 1)[1]
    for name in ("image", "heat"):
        with Image.open(io.BytesIO(base64.b64decode(shown[name].split(",")[1]))) as image:
            assert image.size == (SIDE, SIDE // 2)


@pytest.mark.parametrize("size", [32, 512])
def test_pictures_are_small(size):
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 256, (1, 8, 8, 3), np.uint8)
    images = smooth.repeat(size // 8, 1).repeat(size // 8, 2)
    item = make_gallery(
        images, None, np.zeros((1, size, size)), np.zeros(1), np.ones(1), (0.0, 1.0)
    )[0]
    assert item["outline"] is None
    assert len(item["image"]) + len(item["heat"]) < 60_000
