"""The files of one image, for each way in which it was scored."""

import numpy as np
import pytest
from PIL import Image

from rdvar_jax.commands.predicting.image_writer import ImageWriter, Outputs
from rdvar_jax.data.pixels.decode import decode_image, decode_original
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.ignore_mask import IgnoreMask
from rdvar_jax.data.sets.inputs import InputImage
from rdvar_jax.report.caption import Caption, draw_strip
from rdvar_jax.serving.judgement import Thresholds

HEIGHT, WIDTH = 40, 100


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (WIDTH, HEIGHT), (90, 120, 90)).save(path)
    return InputImage(path, "a.png")


def write(image, folder, geometry, anomaly_map, at_own_size):
    wanted = Outputs(heat_maps=False, maps=True, maps_at_own_size=at_own_size)
    writer = ImageWriter(folder, geometry, Thresholds(0.5, 0.5), wanted, (0.0, 1.0))
    pixels = decode_image(image.path, geometry)
    found = writer.write(image, pixels, anomaly_map, anomaly_map.max())
    return found, np.load(folder / "maps" / "a.npy")


@pytest.mark.parametrize("mode", ["squash", "crop", "pad"])
def test_a_map_is_saved_as_scored_or_as_large_as_its_image(image, tmp_path, mode):
    geometry = Geometry(mode, 32, 32)
    raw = np.random.default_rng(0).random((32, 32)).astype(np.float32)
    np.testing.assert_array_equal(write(image, tmp_path / "1", geometry, raw, False)[1], raw)
    saved = write(image, tmp_path / "2", geometry, raw, True)[1]
    assert saved.dtype == np.float32 and saved.shape == (HEIGHT, WIDTH)
    np.testing.assert_array_equal(saved, geometry.to_original(raw, (HEIGHT, WIDTH)))
    assert np.isnan(saved).any() == (mode == "crop")


@pytest.mark.parametrize("mode", ["squash", "crop", "pad", "tile"])
def test_regions_and_heat_are_where_the_defect_is(image, tmp_path, mode):
    """A spot at row 24, column 56 of the image, seen through each geometry."""
    geometry = Geometry(mode, 32, 32)
    spot = np.zeros((HEIGHT, WIDTH), np.uint8)
    spot[20:29, 52:61] = 255
    raw = geometry.apply_mask(Image.fromarray(spot)).astype(np.float32) / 255
    found, _ = write(image, tmp_path, geometry, raw, False)
    assert found.verdict == "defective" and found.num_regions == 1
    x0, y0, x1, y1 = found.regions[0]["box"]
    # A pixel of the map is up to 3.2 of the image's.
    assert max(abs(x0 - 52), abs(y0 - 20), abs(x1 - 61), abs(y1 - 29)) <= 4
    with Image.open(tmp_path / "overlays" / "a.png") as file:
        overlay = np.asarray(file).astype(int)
    assert np.abs(overlay[24, 56] - (90, 120, 90)).max() > 60
    assert np.abs(overlay[5, 5] - (90, 120, 90)).max() < 10


@pytest.mark.parametrize("thresholds", [Thresholds(), Thresholds(0.5, 0.5), Thresholds(2.0, 0.5)])
def test_pictures_say_the_verdict_and_outline_the_pixels_above_theirs(image, tmp_path, thresholds):
    raw = np.zeros((HEIGHT, WIDTH), np.float32)
    raw[10:20, 30:60] = 1.0
    wanted = Outputs(heat_maps=False, page=True)
    writer = ImageWriter(tmp_path, Geometry("tile", 32, 32), thresholds, wanted, (0.0, 1.0))
    found = writer.write(image, decode_original(image.path), raw, raw.max())
    assert found.verdict == {None: None, 0.5: "defective", 2.0: "good"}[thresholds.image]
    with Image.open(tmp_path / "overlays" / "a.png") as file:
        overlay = np.asarray(file)
    strip = draw_strip(Caption(1.0, thresholds.image, found.verdict), WIDTH, HEIGHT)
    assert np.array_equal(overlay[HEIGHT:], strip)
    outlined = (overlay[9, 30:60] == 255).all() and (overlay[8, 30:60] == 0).all()
    assert outlined == (thresholds.pixel is not None)
    small = [tmp_path / "thumbnails" / kind / "a.jpg" for kind in ("heat", "plain")]
    hot, plain = (np.asarray(Image.open(path)).astype(int) for path in small)
    assert hot.shape == plain.shape == (128, 320, 3)
    assert np.abs(plain - (90, 120, 90)).max() <= 6
    assert np.abs(hot[48, 144] - (90, 120, 90)).max() > 60


@pytest.mark.parametrize(
    ("min_area", "verdict", "num_regions"),
    [(0, "defective", 2), (1, "defective", 2), (81, "defective", 1), (10**9, "good", 0)],
)
def test_an_image_without_a_region_that_is_large_enough_is_good(
    image, tmp_path, min_area, verdict, num_regions
):
    raw = np.zeros((HEIGHT, WIDTH), np.float32)
    raw[20:29, 52:61] = 0.8  # 81 pixels
    raw[2, 3] = 0.9
    thresholds = Thresholds(0.5, 0.5, min_area=min_area)
    writer = ImageWriter(
        tmp_path, Geometry("tile", 32, 32), thresholds, Outputs(False, False, masks=True)
    )
    found = writer.write(image, np.zeros((HEIGHT, WIDTH, 3), np.uint8), raw, raw.max())
    assert (found.verdict, found.num_regions) == (verdict, num_regions)
    with Image.open(tmp_path / "masks" / "a.png") as mask:
        marked = np.asarray(mask) > 0
    assert marked.sum() == sum(region["area"] for region in found.regions)


def test_what_a_score_lets_pass_stays_good(image, tmp_path):
    raw = np.full((32, 32), 0.4, np.float32)
    thresholds = Thresholds(0.5, 0.3, min_area=1)
    writer = ImageWriter(tmp_path, Geometry("squash", 32, 32), thresholds, Outputs(False, False))
    found = writer.write(image, np.zeros((32, 32, 3), np.uint8), raw, raw.max())
    assert found.verdict == "good" and found.num_regions == 1


@pytest.mark.parametrize("mode", ["squash", "crop", "pad", "tile"])
def test_ignored_pixels_are_in_no_region_and_have_no_colour(image, tmp_path, mode):
    geometry = Geometry(mode, 32, 32)
    marked = np.zeros((HEIGHT, WIDTH), bool)
    marked[:, 50:] = True
    ignore = IgnoreMask.of(marked)
    raw = np.full(geometry.shape_of((WIDTH, HEIGHT)), 0.8, np.float32)
    raw[ignore.on_map(geometry, (WIDTH, HEIGHT))] = 0
    thresholds = Thresholds(0.5, 0.1, ignore=ignore)
    writer = ImageWriter(
        tmp_path, geometry, thresholds, Outputs(False, True, masks=True), (0.0, 0.5)
    )
    found = writer.write(image, decode_image(image.path, geometry), raw, raw.max())
    ((x0, _, x1, _),) = (region["box"] for region in found.regions)
    # A pixel of the map, of which any part is marked, is up to 3.2 of the image's.
    assert 45 < x1 <= 50 and x0 == {"crop": 30}.get(mode, 0)
    with (
        Image.open(tmp_path / "masks" / "a.png") as mask,
        Image.open(tmp_path / "overlays" / "a.png") as drawn,
        Image.open(image.path) as plain,
    ):
        assert not np.asarray(mask)[:, 50:].any()
        np.testing.assert_array_equal(np.asarray(drawn)[:HEIGHT, 53:], np.asarray(plain)[:, 53:])
