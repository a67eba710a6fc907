"""What prediction and watching share, without a trained run."""

import dataclasses
import errno
import json
import logging

import pytest

from rdvar_jax.commands.predicting.image_writer import PICTURES, Outputs
from rdvar_jax.commands.predicting.output_part import locked_output, refuse_filled
from rdvar_jax.commands.predicting.prediction_checks import (
    Counts,
    check_output,
    check_thresholds,
    writing,
)
from rdvar_jax.commands.predicting.scoring_setup import complete_thresholds, find_scale
from rdvar_jax.errors import CheckpointError, ConfigError, DataError
from rdvar_jax.files.sealed import write_sealed
from rdvar_jax.runs.config import default_config
from rdvar_jax.runs.threshold_file import score_settings
from rdvar_jax.runs.workdir import Workdir
from rdvar_jax.serving.judgement import NO_THRESHOLDS, Thresholds
from rdvar_jax.training.checkpoint import SavedStep

SAVED = SavedStep(7, 1.0, {}, {}, {"a": "0"})


@pytest.fixture
def workdir(tmp_path) -> Workdir:
    return Workdir(tmp_path)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (NO_THRESHOLDS, Thresholds(0.25, 0.25)),
        (Thresholds(pixel=0.5), Thresholds(0.25, 0.5)),
        (Thresholds(image=0.1), Thresholds(0.1, 0.1)),
        (Thresholds(0.1, 0.5), Thresholds(0.1, 0.5)),
    ],
)
def test_the_run_gives_the_thresholds_that_were_not_given(workdir, given, expected):
    config = default_config()
    stored = {"threshold": 0.25, "checkpoint_sha256": SAVED.sha256, "step": 7}
    write_sealed(workdir.threshold("best"), {**stored, "score": score_settings(config)})
    assert complete_thresholds(given, config, workdir, "best", SAVED) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (NO_THRESHOLDS, Thresholds(0.25, 0.75)),
        (Thresholds(pixel=0.5), Thresholds(0.25, 0.5)),
        (Thresholds(image=0.1), Thresholds(0.1, None)),
        (Thresholds(0.1, 0.5), Thresholds(0.1, 0.5)),
    ],
)
def test_pixels_have_their_own_where_scores_are_no_maxima(workdir, given, expected, caplog):
    config = default_config()
    config.score.pooling = 0.01
    stored = {"threshold": 0.25, "checkpoint_sha256": SAVED.sha256, "step": 7}
    settings = score_settings(config)
    write_sealed(workdir.threshold("best"), {**stored, "score": settings, "pixel_threshold": 0.75})
    with caplog.at_level(logging.INFO, "rdvar_jax"):
        assert complete_thresholds(given, config, workdir, "best", SAVED) == expected
    assert ("give --pixel_threshold too" in caplog.text) == (expected.pixel is None)


def test_the_area_is_that_of_the_settings_and_belongs_to_no_threshold(workdir):
    config = default_config()
    stored = {"threshold": 0.25, "checkpoint_sha256": SAVED.sha256, "step": 7}
    write_sealed(workdir.threshold("best"), {**stored, "score": score_settings(config)})
    config.score.min_area = 30
    found = complete_thresholds(NO_THRESHOLDS, config, workdir, "best", SAVED)
    assert found == Thresholds(0.25, 0.25, min_area=30)


def test_without_any_a_line_says_how_to_get_one(workdir, caplog):
    with caplog.at_level(logging.INFO, "rdvar_jax"):
        found = complete_thresholds(NO_THRESHOLDS, default_config(), workdir, "latest", SAVED)
    assert found == NO_THRESHOLDS
    assert f"no verdicts: {workdir.threshold('latest')} does not exist" in caplog.text


def test_what_needs_a_threshold_says_so():
    check_thresholds(NO_THRESHOLDS, PICTURES, need_verdicts=False)
    check_thresholds(Thresholds(0.1, 0.1), Outputs(masks=True), need_verdicts=True)
    with pytest.raises(ConfigError, match="--fail_on_defect needs a threshold"):
        check_thresholds(Thresholds(pixel=0.1), PICTURES, need_verdicts=True)
    check_thresholds(Thresholds(0.1, 0.1, min_area=5), PICTURES, need_verdicts=True)
    with pytest.raises(ConfigError, match=r"score\.min_area=5 needs a threshold of pixels; run rd"):
        check_thresholds(Thresholds(0.1, min_area=5), PICTURES, need_verdicts=False)
    with pytest.raises(ConfigError, match="--save_masks needs a threshold"):
        check_thresholds(Thresholds(image=0.1), Outputs(masks=True), need_verdicts=False)


def test_the_colour_scale_is_that_of_the_same_state(workdir, caplog):
    path = workdir.results("latest")
    with caplog.at_level(logging.INFO, "rdvar_jax"):
        assert find_scale(workdir, "latest", SAVED) is None
    assert f"{path} has no colour scale of this state" in caplog.text
    results = {"checkpoint_sha256": SAVED.sha256, "color_scale": [0.125, 2]}
    results |= {"metrics": {}, "thresholds": {}, "step": 7}
    write_sealed(path, results)
    assert find_scale(workdir, "latest", SAVED) == (0.125, 2.0)
    write_sealed(path, {**results, "checkpoint_sha256": "0"})
    assert find_scale(workdir, "latest", SAVED) is None
    old = dataclasses.replace(SAVED, is_sealed=False)  # a run of an earlier version
    path.write_text(json.dumps(results))
    assert find_scale(workdir, "latest", old) == (0.125, 2.0)
    for damaged in ("{", "[]", json.dumps({**results, "color_scale": [1]})):
        path.write_text(damaged)
        for saved in (SAVED, old):
            with pytest.raises(CheckpointError, match=r"results\.json is damaged .*; it holds"):
                find_scale(workdir, "latest", saved)
    path.write_text(json.dumps(results))
    with pytest.raises(CheckpointError, match="its sha256 was removed"):
        find_scale(workdir, "latest", SAVED)


def test_the_output_is_a_folder_of_its_own(tmp_path):
    images, output = tmp_path / "images", tmp_path / "output"
    images.mkdir()
    check_output(output, [images])
    output.mkdir()
    check_output(output, [images])
    refuse_filled(output)
    (output / "file").touch()
    check_output(output, [images])
    refuse_filled(output, ("file",))
    with pytest.raises(DataError, match="is not empty"):
        refuse_filled(output)
    with pytest.raises(DataError, match="is a file; give a folder"):
        check_output(output / "file", [images])
    for inside in (images, images / "a" / "b"):
        with pytest.raises(DataError, match="is inside the input"):
            check_output(inside, [images])


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written .*; give a writable folder"):
        with writing(tmp_path), locked_output(tmp_path / "file" / "output"):
            pass
    with pytest.raises(DataError, match=r"cannot be written \(No space left on device\)"):
        with writing(tmp_path):
            raise OSError(errno.ENOSPC, "No space left on device")


def test_verdicts_are_counted_only_where_there_are_any():
    counts = Counts()
    counts.add(None)
    assert (counts.num_images, counts.num_defective) == (1, None)
    counts.add("good")
    counts.add("defective")
    assert (counts.num_images, counts.num_defective) == (3, 1)
