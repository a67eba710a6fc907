"""`threshold.json`: read for the state and the settings that it was made with, and no others."""

import dataclasses
import json

import pytest

from rdvar_jax.errors import CheckpointError
from rdvar_jax.files.sealed import write_sealed
from rdvar_jax.runs.config import default_config
from rdvar_jax.runs.threshold_file import read_threshold, score_settings
from rdvar_jax.runs.workdir import Workdir
from rdvar_jax.training.checkpoint import SavedStep

SAVED = SavedStep(7, 1.0, {}, {}, {"a": "0"})
OLD = dataclasses.replace(SAVED, is_sealed=False)  # its manifest is of an earlier version


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
    write_sealed(workdir.threshold("best"), content)
    assert read_threshold(config, workdir, "latest", SAVED) is None
    assert read_threshold(config, workdir, "best", SAVED) == content


def test_another_state_is_refused(config, workdir, content):
    write_sealed(workdir.threshold("latest"), content)
    other = SavedStep(9, 1.0, {}, {}, {"a": "1"})
    with pytest.raises(CheckpointError, match=r"threshold\.json belongs .* step 7, .* step 9;"):
        read_threshold(config, workdir, "latest", other)


def test_other_settings_of_score_are_refused_but_not_another_batch_size(config, workdir, content):
    write_sealed(workdir.threshold("latest"), content)
    config.score.batch_size += 1
    assert read_threshold(config, workdir, "latest", SAVED) == content
    config.score.sigma = 2.5
    with pytest.raises(CheckpointError, match=r"'score\.sigma': 4.*, now .*'score\.sigma': 2\.5"):
        read_threshold(config, workdir, "latest", SAVED)


def test_a_setting_younger_than_the_threshold_had_its_default_then(config, workdir, content):
    del content["score"]["score.pooling"]
    write_sealed(workdir.threshold("latest"), content)
    assert read_threshold(config, workdir, "latest", SAVED) == content
    config.score.pooling = 0.01
    with pytest.raises(CheckpointError, match=r"now .*'score\.pooling': 0\.01"):
        read_threshold(config, workdir, "latest", SAVED)
    # Of a later version: a setting that this one cannot apply.
    config.score.pooling, content["score"]["score.new"] = "max", 1
    write_sealed(workdir.threshold("latest"), content)
    with pytest.raises(CheckpointError, match=r"'score\.new': 1"):
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
    for saved in (SAVED, OLD):
        with pytest.raises(CheckpointError, match=r"threshold\.json is damaged .*; run rdvar"):
            read_threshold(config, workdir, "latest", saved)


def test_an_edit_by_hand_is_refused_and_the_sentence_says_what_to_do_instead(
    config, workdir, content
):
    path = workdir.threshold("latest")
    write_sealed(path, content)
    path.write_text(path.read_text().replace("0.25", "0.35"))
    with pytest.raises(CheckpointError) as caught:
        read_threshold(config, workdir, "latest", SAVED)
    assert str(caught.value) == (
        f"{path} is damaged or was edited (its sha256 does not fit its content); run rdvar "
        "threshold, which chooses and writes it again, or remove it and give --threshold to rdvar "
        "predict or rdvar export."
    )


def test_without_a_seal_it_is_read_only_for_a_state_of_an_earlier_version(config, workdir, content):
    path = workdir.threshold("latest")
    path.write_text(json.dumps(content))
    assert read_threshold(config, workdir, "latest", OLD) == content
    with pytest.raises(CheckpointError, match=r"\(its sha256 was removed\); run rdvar threshold"):
        read_threshold(config, workdir, "latest", SAVED)
    for lost in ("sha256", "format"):
        write_sealed(path, content)
        entries = json.loads(path.read_text())
        del entries[lost]
        path.write_text(json.dumps(entries))
        for saved in (SAVED, OLD):
            with pytest.raises(CheckpointError, match="sha256"):
                read_threshold(config, workdir, "latest", saved)
