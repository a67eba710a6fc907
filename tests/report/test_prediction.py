"""The picture of one image without a label."""

import numpy as np
from PIL import Image

from rdvar_jax.report.panels import overlay
from rdvar_jax.report.prediction import STRIP_PIXELS, save_heat_map, save_mask, save_overlay


def draw(path, size=256, name="a b/ü.png", hot=1.0, scale=(0.0, 1.0)) -> np.ndarray:
    image = np.full((size, size, 3), 128, np.uint8)
    raw = np.zeros((size, size), np.float32)
    raw[: size // 2] = hot
    save_heat_map(path, image, raw, name, hot, scale)
    with Image.open(path) as picture:
        return np.array(picture.convert("RGB"))


def test_image_and_heat_stand_side_by_side(tmp_path):
    picture = draw(tmp_path / "new" / "a.png")
    grey = (picture == 128).all(-1)
    assert grey[40:260, 20:250].all()  # the image as it is
    assert grey[160:260, 290:510].all()  # no heat
    red = overlay(np.full((1, 1, 3), 128, np.uint8), np.ones((1, 1)), (0.0, 1.0))[0, 0]
    assert (picture[40:140, 290:510] == red).all()  # full heat


def test_the_scale_is_not_the_image_s_own(tmp_path):
    weak = draw(tmp_path / "weak.png", hot=0.1)
    strong = draw(tmp_path / "strong.png", hot=1.0)
    base = np.array([128, 128, 128])
    change = [np.abs(p[40:140, 290:510] - base).mean() for p in (weak, strong)]
    assert 0 < change[0] < change[1] / 2


def test_the_legend_names_both_ends(tmp_path):
    pictures = [
        draw(tmp_path / f"{high}.png", hot=0.0, scale=(0.0, high)) for high in (1.0, 2.0, 2.0)
    ]
    assert not np.array_equal(pictures[0], pictures[1])  # nothing but the legend's text differs
    assert np.array_equal(pictures[1], pictures[2])
    assert np.array_equal(pictures[0][:280], pictures[1][:280])


def test_odd_names_and_small_images_are_drawn(tmp_path):
    for number, name in enumerate(("x" * 500, "line\nbreak\udcff.png", "", "漢字.png")):
        assert min(draw(tmp_path / f"{number}.png", size=32, name=name).shape[:2]) >= 256


def test_an_overlay_has_the_image_s_own_size_and_is_drawn_in_strips_like_a_whole(tmp_path):
    rng = np.random.default_rng(0)
    width = 700
    height = 2 * STRIP_PIXELS // width + 3
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    raw = rng.random((height, width), np.float32)
    save_overlay(tmp_path / "sub" / "a.png", image, raw, (0.2, 0.9))
    with Image.open(tmp_path / "sub" / "a.png") as picture:
        assert np.array_equal(np.asarray(picture), overlay(image, raw, (0.2, 0.9)))


def test_a_mask_is_white_where_defective(tmp_path):
    above = np.array([[True, False, False], [False, False, True]])
    save_mask(tmp_path / "new" / "a.png", above)
    with Image.open(tmp_path / "new" / "a.png") as picture:
        assert picture.mode == "L"
        assert np.array_equal(np.asarray(picture), above * 255)
