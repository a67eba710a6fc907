"""`score.ignore` and the copy in a run's folder."""

import numpy as np
import pytest
from PIL import Image

from rdvar_jax.data.pixels.ignore_mask import IgnoreMask
from rdvar_jax.errors import ConfigError
from rdvar_jax.runs.config import default_config, resolved
from rdvar_jax.runs.ignore_file import check_aspect, keep_ignore, read_ignore
from rdvar_jax.runs.threshold_file import score_settings
from rdvar_jax.runs.workdir import Workdir, load_config, save_config, with_kept_ignore

MASK = IgnoreMask.of(np.eye(30, 40, dtype=bool))


@pytest.fixture
def workdir(tmp_path) -> Workdir:
    workdir = Workdir(tmp_path / "run")
    workdir.folder.mkdir()
    save_config(workdir, default_config())
    return workdir


def test_the_run_uses_its_copy_until_it_is_removed(workdir):
    assert load_config(workdir).score.ignore == ""
    keep_ignore(workdir, MASK)
    config = load_config(workdir)
    assert config.score.ignore == str(workdir.ignore) and read_ignore(config.score.ignore) == MASK
    assert score_settings(config)["score.ignore"] == MASK.sha256
    save_config(workdir, config)
    assert str(workdir.folder) not in workdir.config.read_text()  # no path of this machine
    before = workdir.ignore.stat().st_mtime_ns
    keep_ignore(workdir, MASK)  # as it is
    assert workdir.ignore.stat().st_mtime_ns == before

    config.score.ignore = "none"
    assert read_ignore(resolved(config).score.ignore) is None
    assert score_settings(config)["score.ignore"] == ""
    keep_ignore(workdir, None)
    assert not workdir.ignore.exists() and load_config(workdir).score.ignore == ""
    keep_ignore(workdir, None)


def test_a_training_takes_the_copy_unless_it_says_otherwise(workdir, tmp_path):
    keep_ignore(workdir, MASK)
    for given, used in (("", str(workdir.ignore)), ("none", "none"), ("/a.png", "/a.png")):
        config = default_config()
        config.score.ignore = given
        assert with_kept_ignore(config, workdir).score.ignore == used
        assert with_kept_ignore(config, Workdir(tmp_path)).score.ignore == given


def test_a_file_that_changes_is_read_again(tmp_path):
    path = tmp_path / "ignore.png"
    found = []
    for marked in (1, 2):
        pixels = np.zeros((4, 4), np.uint8)
        pixels[marked] = 255
        Image.fromarray(pixels).save(path)
        found.append(read_ignore(str(path)))
        assert read_ignore(str(path)) is found[-1]
        path.unlink()
    assert found[0] != found[1]
    with pytest.raises(ConfigError, match=r"ignore\.png cannot be read \(No such file"):
        read_ignore(str(path))


def test_a_picture_of_nothing_but_marks(tmp_path):
    path = tmp_path / "white.png"
    Image.new("L", (40, 30), 1).save(path)
    with pytest.raises(ConfigError, match=r"white\.png leaves no pixel that counts"):
        read_ignore(str(path))


def test_its_aspect_is_one_of_the_training_images():
    for aspects in (None, (4 / 3, 4 / 3), (1.0, 2.0), (1.325, 1.325)):
        check_aspect(MASK, "a.png", aspects)
    for aspects, words in (
        ((1.0, 1.0), "but the training images have 1;"),
        ((1.4, 2.0), "but the training images have 1.4 to 2;"),
    ):
        with pytest.raises(ConfigError) as caught:
            check_aspect(MASK, "a.png", aspects)
        assert str(caught.value) == (
            "score.ignore=a.png has 40x30 pixels, width by height 1.33, "
            f"{words} mark the pixels in a picture as large as an image."
        )
