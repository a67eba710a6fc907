"""What an image is called, and which regions are listed, by its two thresholds."""

import json

import numpy as np
import pytest
from PIL import Image

from rdvar_jax.commands.predicting.image_writer import ImageWriter, Outputs
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.sets.inputs import InputImage
from rdvar_jax.errors import ConfigError
from rdvar_jax.report.outline import rings
from rdvar_jax.serving.judgement import MAX_REGIONS, Thresholds

NOTHING = Outputs(heat_maps=False, overlays=False)


@pytest.fixture
def image(tmp_path) -> InputImage:
    path = tmp_path / "wide.png"
    Image.new("RGB", (128, 32), (90, 100, 110)).save(path)
    return InputImage(path, "wide.png")


def write(tmp_path, image, raw, thresholds, wanted=NOTHING, mode="squash"):
    writer = ImageWriter(tmp_path / "out", Geometry(mode, 32, 32), thresholds, wanted, (0.0, 1.0))
    return writer.write(image, np.zeros((32, 32, 3), np.uint8), raw, raw.max())


def test_the_two_thresholds_are_asked_apart(tmp_path, image):
    raw = np.zeros((32, 32), np.float32)
    raw[8:24, 8:24] = 0.5
    found = write(tmp_path, image, raw, Thresholds(0.6, 0.4))
    assert (found.verdict, found.num_regions, found.threshold) == ("good", 1, 0.6)
    assert found.regions[0]["box"] == pytest.approx((32, 8, 96, 24), abs=2)
    found = write(tmp_path, image, raw, Thresholds(None, 0.4))
    assert (found.verdict, found.num_regions, found.threshold) == (None, 1, None)
    found = write(tmp_path, image, raw, Thresholds(0.5))  # equal is not above
    assert (found.verdict, found.num_regions, found.regions) == ("good", None, None)
    assert not (tmp_path / "out").exists()


def test_what_was_cropped_away_has_no_region_and_no_heat(tmp_path, image):
    raw = np.ones((32, 32), np.float32)
    wanted = Outputs(heat_maps=False, masks=True)
    found = write(tmp_path, image, raw, Thresholds(0.5, 0.5), wanted, mode="crop")
    assert found.regions == [{"box": (48, 0, 80, 32), "area": 32 * 32, "score": 1.0}]
    with Image.open(tmp_path / "out" / "overlays" / "wide.png") as picture:
        hot = np.any(np.asarray(picture)[:32, :128] != (90, 100, 110), axis=-1)
    with Image.open(tmp_path / "out" / "masks" / "wide.png") as mask:
        above = np.asarray(mask) == 255
    assert np.array_equal(hot, above | np.logical_or(*rings(above, 1, 1)))
    assert above[:, 48:80].all() and above.sum() == 32 * 32


def test_of_very_many_regions_the_highest_are_listed_and_all_counted(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (32, 32)).save(path)
    raw = np.zeros((32, 32), np.float32)
    raw[::2, ::2] = np.arange(256, dtype=np.float32).reshape(16, 16) + 1
    found = write(tmp_path, InputImage(path, "a.png"), raw, Thresholds(0.5, 0.5))
    assert found.num_regions == 256 and len(found.regions) == MAX_REGIONS
    assert [region["score"] for region in found.regions[:2]] == [256.0, 255.0]
    assert len(json.loads(found.json_line())["regions"]) == MAX_REGIONS


@pytest.mark.parametrize("thresholds", [Thresholds(np.nan), Thresholds(0.1, np.inf)])
def test_a_threshold_that_is_no_number_is_refused(thresholds):
    with pytest.raises(ConfigError, match="must be a finite number"):
        thresholds.check()
