"""A run's folder: what it goes on with, and the settings that its scores are made with."""

from types import SimpleNamespace

import pytest

import rdvar_jax.runs.run as run_module
from rdvar_jax.errors import CheckpointError
from rdvar_jax.runs.config import default_config
from rdvar_jax.runs.recipe import Recipe
from rdvar_jax.runs.run import Run
from rdvar_jax.runs.workdir import Workdir
from rdvar_jax.training.checkpoint import SavedStep


class Saved:
    """Checkpoints of one state that holds nothing but what it says of itself."""

    def __init__(self, provenance: dict):
        self.step = SavedStep(7, 1.0, {}, provenance, {}, is_sealed=False)

    def find(self, which: str = "latest") -> SavedStep:
        return self.step

    def set_aside_unfinished(self) -> None:
        pass

    def restore(self, abstract_state, which: str = "latest"):
        return "the state", self.step


@pytest.fixture
def run(tmp_path, monkeypatch) -> Run:
    monkeypatch.setattr(Recipe, "abstract_state", None)
    return Run(Recipe(default_config(), SimpleNamespace()), Workdir(tmp_path))


def test_the_same_images_and_teacher_go_on(run):
    run.checkpoints = Saved(run.provenance("teacher", "images"))
    assert run.restore_or_start(None, run.provenance("teacher", "images"))[0] == "the state"


@pytest.mark.parametrize(
    ("teacher", "images", "message"),
    [
        ("teacher", "others", r"step 7 .* images than .*data\.root"),
        ("another", "images", r"step 7 .* teacher than .*teacher\.safetensors"),
    ],
)
def test_others_are_refused(run, teacher, images, message):
    run.checkpoints = Saved(run.provenance("teacher", "images"))
    with pytest.raises(CheckpointError, match=message):
        run.restore_or_start(None, run.provenance(teacher, images))


def test_the_settings_of_scoring_reach_the_scorer(run, monkeypatch):
    config = run.config
    config.score.update(sigma=2.5, batch_size=3, pooling=0.1)
    config.compute.precision, config.data.image_size = "bfloat16", 64
    found = SimpleNamespace(
        model="the model",
        saved="its step",
        teacher_sha256="",
        teacher_source_sha256="",
        teacher_unverified="",
    )
    monkeypatch.setattr(Run, "load", lambda self, checkpoint: found)
    monkeypatch.setattr(Run, "_fetch_programs", lambda self: None)
    monkeypatch.setattr(run_module, "make_scorer", lambda *args, **options: (args, options))
    args, options = run.load_scorer().score
    assert args == ("the model", 64, 3, run.recipe.parallel)
    assert options == {"sigma": 2.5, "precision": "bfloat16", "pooling": 0.1, "ignored": None}
