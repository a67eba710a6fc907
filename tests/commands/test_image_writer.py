"""The files of one image, for each way in which it was scored."""

import numpy as np
import pytest
from PIL import Image

from rdvar_jax.commands.image_writer import ImageWriter, Outputs, Thresholds
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.sets.inputs import InputImage

HEIGHT, WIDTH = 40, 100


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (WIDTH, HEIGHT), (90, 120, 90)).save(path)
    return InputImage(path, "a.png")


def write(image, folder, geometry, anomaly_map, at_own_size):
    wanted = Outputs(heat_maps=False, maps=True, maps_at_own_size=at_own_size)
    writer = ImageWriter(folder, geometry, Thresholds(0.5, 0.5), wanted, (0.0, 1.0))
    pixels = np.zeros((*anomaly_map.shape, 3), np.uint8)
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
