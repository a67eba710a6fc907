"""The picture of one image without a label."""

import numpy as np
import pytest
from PIL import Image

from rdvar_jax.report.caption import Caption, draw_strip
from rdvar_jax.report.outline import rings
from rdvar_jax.report.panels import MAX_OPACITY, STRIP_PIXELS, overlay
from rdvar_jax.report.prediction import (
    save_heat_map,
    save_mask,
    save_overlay,
    save_thumbnails,
)
from rdvar_jax.report.turbo import TURBO

CAPTION = Caption(0.5, 0.4, "defective")


def draw(path, size=256, name="a b/ü.png", hot=1.0, scale=(0.0, 1.0)) -> np.ndarray:
    image = np.full((size, size, 3), 128, np.uint8)
    raw = np.zeros((size, size), np.float32)
    raw[: size // 2] = hot
    save_heat_map(path, image, raw, name, Caption(hot), scale)
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


def overlaid(path, picture, raw, above=None, caption=CAPTION) -> np.ndarray:
    save_overlay(path / "sub" / "a.png", picture, raw, (0.2, 0.9), above, caption)
    with Image.open(path / "sub" / "a.png") as file:
        return np.array(file)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_heat_is_the_formula_for_each_pixel(dtype):
    rng = np.random.default_rng(2)
    width = 300
    height = 2 * STRIP_PIXELS // width + 7  # the last strip is not whole
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    raw = rng.normal(0.5, 0.4, (height, width)).astype(dtype)
    raw[:3] = -np.inf  # as where it was cropped away
    low, high = 0.2, 0.9
    heat = np.clip((raw - low) / (high - low), 0.0, 1.0)
    colour = TURBO[np.minimum(heat * 256, 255).astype(np.uint8)]
    opacity = MAX_OPACITY * np.sin(heat * np.pi / 2)[..., None]
    expected = np.round(image * (1 - opacity) + colour * opacity).astype(np.uint8)
    canvas = np.full((height + 5, width + 3, 3), 7, np.uint8)
    overlay(image, raw, (low, high), out=canvas[:height, :width])
    assert np.array_equal(overlay(image, raw, (low, high)), expected)
    assert np.array_equal(canvas[:height, :width], expected)
    assert (canvas[height:] == 7).all() and (canvas[:, width:] == 7).all()


def test_an_overlay_has_the_image_at_its_own_size_drawn_in_strips_like_a_whole(tmp_path):
    rng = np.random.default_rng(0)
    width = 700
    height = 2 * STRIP_PIXELS // width + 3
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    raw = rng.random((height, width), np.float32)
    found = overlaid(tmp_path, image, raw)
    assert np.array_equal(found[:height], overlay(image, raw, (0.2, 0.9)))
    assert found.shape[1] == width
    assert np.array_equal(found[height:], draw_strip(CAPTION, width, height))


@pytest.mark.parametrize("size_hw", [(64, 64), (24, 17), (600, 800), (40, 3000)])
def test_an_overlay_outlines_its_regions_outside_of_them(tmp_path, size_hw):
    height, width = size_hw
    image, raw = np.full((height, width, 3), 90, np.uint8), np.zeros((height, width), np.float32)
    above = np.zeros((height, width), bool)
    above[height // 4 : height // 2, width // 4 : width // 2] = True
    raw[above] = 0.6
    found = overlaid(tmp_path, image, raw, above)[:height, :width]
    assert np.array_equal(found[above], overlay(image, raw, (0.2, 0.9))[above])
    line = max(1, round(max(size_hw) / 400))
    row = found[height // 3]
    left = width // 4
    assert (row[left - line : left] == 255).all() and (
        row[left - 2 * line : left - line] == 0
    ).all()
    assert (row[: left - 2 * line] == 90).all()
    changed = (found != overlay(image, raw, (0.2, 0.9))).any(-1)
    assert not (changed & ~np.logical_or(*rings(above, line, line))).any()


def test_a_heat_map_says_the_verdict(tmp_path):
    texts = [Caption(0.5), Caption(0.5, 0.4, "defective"), Caption(0.5, 0.6, "good")]
    pictures = set()
    for caption in texts:
        image = np.full((64, 64, 3), 128, np.uint8)
        save_heat_map(tmp_path / "a.png", image, np.zeros((64, 64)), "a.png", caption, (0.0, 1.0))
        pictures.add((tmp_path / "a.png").read_bytes())
    assert len(pictures) == 3


def test_thumbnails_are_small_and_only_one_has_heat(tmp_path):
    picture, above = np.full((600, 1200, 3), 90, np.uint8), np.zeros((600, 1200), bool)
    raw = np.full((600, 1200), -np.inf, np.float32)  # as where it was cropped away
    raw[:, 300:] = 0.0
    above[300:420, 600:900] = True
    raw[above] = 1.0
    save_thumbnails(tmp_path / "p.jpg", tmp_path / "h.jpg", picture, raw, (0.0, 1.0), above)
    with Image.open(tmp_path / "p.jpg") as plain, Image.open(tmp_path / "h.jpg") as heat:
        assert plain.format == heat.format == "JPEG" and plain.size == heat.size == (320, 160)
        plain, heat = np.asarray(plain).astype(int), np.asarray(heat).astype(int)
    assert np.abs(plain - 90).max() <= 3
    assert np.abs(heat[:60] - 90).max() <= 12 and np.abs(heat[:, :60] - 90).max() <= 12
    red = overlay(np.full((1, 1, 3), 90, np.uint8), np.ones((1, 1)), (0.0, 1.0))[0, 0]
    assert np.abs(heat[90:105, 180:220] - red).max() < 30
    assert heat[78:80, 180:220].min() > 200  # the white line above the region


def test_a_mask_is_white_where_defective(tmp_path):
    above = np.array([[True, False, False], [False, False, True]])
    save_mask(tmp_path / "new" / "a.png", above)
    with Image.open(tmp_path / "new" / "a.png") as picture:
        assert picture.mode == "L"
        assert np.array_equal(np.asarray(picture), above * 255)
