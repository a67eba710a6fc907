"""The sentence about images whose aspect `squash` changes."""

import pytest
from PIL import Image

from rdvar_jax.commands.inspect import inspect_set
from rdvar_jax.data.pixels.aspect import squash_remark
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.runs.config import default_config


@pytest.mark.parametrize(
    ("size_wh", "change", "size"),
    [
        ((2048, 1024), "100%", "192,384"),
        ((1024, 2048), "100%", "384,192"),
        ((1600, 1200), "33%", "192,256"),
        ((1120, 1000), "12%", "256,288"),
        ((4096, 128), "3100%", "32,1024"),
    ],
)
def test_what_changes_and_the_size_that_keeps_it(size_wh, change, size):
    remark = squash_remark(size_wh, Geometry("squash", 256, 256))
    assert remark is not None and remark.isprintable() and remark.count(". ") == 0
    assert f"changes their aspect by {change}; to keep it, set data.image_size={size}, or" in remark
    height, width = map(int, size.split(","))
    assert squash_remark(size_wh, Geometry("squash", height, width)) is None


def test_a_tenth_and_other_geometries_are_no_matter():
    assert squash_remark((1100, 1000), Geometry("squash", 256, 256)) is None
    assert squash_remark((1000, 1101), Geometry("squash", 256, 256)) is not None
    for mode in ("crop", "pad", "tile"):
        assert squash_remark((2000, 1000), Geometry(mode, 256, 256)) is None


def test_inspect_says_it_once(tmp_path):
    for number, split in enumerate(("train", "train", "test")):
        path = tmp_path / f"part/{split}/good/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (96, 48), (number, 0, 0)).save(path)
    config = default_config()
    config.data.update(root=str(tmp_path), category="part", image_size=64)
    assert inspect_set(config).text.count("Images of 96x48 pixels are squashed to 64x64") == 1
    config.data.geometry = "pad"
    assert "squashed" not in inspect_set(config).text
