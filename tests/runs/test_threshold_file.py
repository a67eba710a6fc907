"""`threshold.json`: read for the state and the settings that it was made with, and no others."""

import json

import pytest

from rdvar_jax.errors import CheckpointError
from rdvar_jax.runs.config import default_config
from rdvar_jax.runs.threshold_file import read_threshold, score_settings
from rdvar_jax.runs.workdir import Workdir
from rdvar_jax.training.checkpoint import SavedStep

SAVED = SavedStep(7, 1.0, {}, {}, {"a": "0"})


@pytest.fixture
def config():
    return default_config()


@pytest.fixture
def workdir(tmp_path) -> Workdir:
    return Workdir(tmp_path)


@pytest.fixture
def content(config) -> dict:
    return {
        "threshold": 0.25,
        "checkpoint_sha256": SAVED.sha256,
        "step": 7,
        "score": score_settings(config),
    }


def test_there_need_be_none(config, workdir):
    assert read_threshold(config, workdir, "latest", SAVED) is None


def test_each_kind_of_checkpoint_has_its_own(config, workdir, content):
    workdir.threshold("best").write_text(json.dumps(content))
    assert read_threshold(config, workdir, "latest", SAVED) is None
    assert read_threshold(config, workdir, "best", SAVED) == content


def test_another_state_is_refused(config, workdir, content):
    workdir.threshold("latest").write_text(json.dumps(content))
    other = SavedStep(9, 1.0, {}, {}, {"a": "1"})
    with pytest.raises(CheckpointError, match=r"threshold\.json belongs .* step 7, .* step 9;"):
        read_threshold(config, workdir, "latest", other)


def test_other_settings_of_score_are_refused_but_not_another_batch_size(config, workdir, content):
    workdir.threshold("latest").write_text(json.dumps(content))
    config.score.batch_size += 1
    assert read_threshold(config, workdir, "latest", SAVED) == content
    config.score.sigma = 2.5
    with pytest.raises(CheckpointError, match=r"'score\.sigma': 4.*, now .*'score\.sigma': 2\.5"):
        read_threshold(config, workdir, "latest", SAVED)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: json.dumps(content)[:-5],
        lambda content: "[1]",
        lambda content: json.dumps({**content, "threshold": None}),
        lambda content: json.dumps({**content, "threshold": float("inf")}),
        lambda content: json.dumps({k: v for k, v in content.items() if k != "score"}),
    ],
    ids=["cut off", "a list", "no number", "infinite", "no settings"],
)
def test_damage_is_one_sentence(config, workdir, content, change):
    workdir.threshold("latest").write_text(change(content))
    with pytest.raises(CheckpointError, match="threshold.json cannot be read; run rdvar threshold"):
        read_threshold(config, workdir, "latest", SAVED)
