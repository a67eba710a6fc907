"""The Python API: fit equals `rdvar train`, a loss and a backbone of one's own, saved runs."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdvar_jax import (
    Architecture,
    RDVarLoss,
    ReverseDistillation,
    Run,
    evaluate,
    fit,
    load_category,
    score,
)
from rdvar_jax.commands.evaluate import evaluate as evaluate_run
from rdvar_jax.commands.train import train
from rdvar_jax.errors import CheckpointError, ConfigError, DataError
from rdvar_jax.runs.config import default_config, resolved
from rdvar_jax.runs.workdir import load_config

ONE_BLOCK = Architecture("basic", (1, 1, 1), ocbe_blocks=1)
SETTINGS = {"epochs": 2, "batch_size": 4, "seed": 3, "progress": False}


@pytest.fixture(scope="module")
def parts(toy_root):
    return load_category(toy_root / "tile", image_size=32, progress=False)


@pytest.fixture(scope="module")
def model():
    return ReverseDistillation(ONE_BLOCK, weights="random", stem_width=4)


@pytest.fixture(scope="module")
def fitted(model, parts):
    return fit(model, parts.train, devices=jax.local_devices()[:1], **SETTINGS)


def settings_of_the_same_run(toy_root: Path):
    config = default_config()
    config.data.update(root=str(toy_root), category="tile", image_size=32)
    config.teacher.update(arch=ONE_BLOCK.name, stem_width=4, weights="random")
    config.train.update(epochs=2, batch_size=4, seed=3)
    config.parallel.num_devices = 1
    return resolved(config)


def assert_same_arrays(one, other) -> None:
    one, other = jax.device_get((one, other))
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(x, y)


def test_fit_is_rdvar_train_bit_for_bit(fitted, toy_root, tmp_path):
    trained = train(settings_of_the_same_run(toy_root), tmp_path / "run")
    assert_same_arrays(trained.state, fitted.state)
    assert trained.losses == fitted.losses
    fitted.save(tmp_path / "saved")
    kept = [(tmp_path / name / "trained_images.json").read_text() for name in ("run", "saved")]
    assert kept[0] == kept[1]
    assert [line["epoch"] for line in fitted.losses] == [1, 2]
    assert fitted.losses[1]["loss"] < fitted.losses[0]["loss"]
    assert set(fitted.losses[0]) == {
        "step", "epoch", "loss", "loss_model", "loss_var", "grad_norm"
    }  # fmt: skip


def test_fit_leaves_the_model_as_it_is(fitted, model):
    fresh = ReverseDistillation(ONE_BLOCK, weights="random", stem_width=4)
    assert_same_arrays(model.student_variables, fresh.student_variables)
    kernel = fitted.model.student_variables["params"]["ocbe"]["conv1"]["kernel"]
    assert not np.array_equal(kernel, fresh.student_variables["params"]["ocbe"]["conv1"]["kernel"])


def test_a_saved_model_is_a_run_that_goes_on(fitted, parts, toy_root, tmp_path):
    run = fitted.save(tmp_path / "run")
    assert_same_arrays(run.model().student_variables, fitted.model.student_variables)
    result = evaluate(fitted, parts.test, batch_size=4)
    config = load_config(run.workdir)
    config.score.batch_size = 4
    files = evaluate_run(resolved(config), run.workdir)
    assert files["metrics"] == pytest.approx(result.metrics, abs=1e-12)
    assert files["lambda_var"] == 0.1
    more = settings_of_the_same_run(toy_root)
    more.train.epochs = 3
    longer = train(more, tmp_path / "run")
    assert [line["epoch"] for line in longer.losses] == [3]
    more_at_once = fit(
        fitted.model,
        parts.train,
        devices=jax.local_devices()[:1],
        **{**SETTINGS, "epochs": 3},
    )
    assert_same_arrays(longer.state, more_at_once.state)
    with pytest.raises(CheckpointError, match="is not an empty folder"):
        fitted.save(tmp_path / "run")


def test_a_run_s_detector_scores_as_the_model_does(fitted, parts, toy_root, tmp_path):
    run = fitted.save(tmp_path / "run")
    maps, scores = score(fitted, parts.test.images, batch_size=4)
    paths = [record.path for record in parts.test.records]
    found = Run.open(tmp_path / "run").detector(threshold=float(np.median(scores))).predict(paths)
    np.testing.assert_allclose(found.scores, scores, rtol=1e-5)
    np.testing.assert_allclose(found.maps, maps, rtol=1e-4, atol=1e-6)
    assert found.verdicts.sum() == 3
    assert run.detector().predict(paths[0]).verdicts is None
    with pytest.raises(ConfigError, match="threshold=nan must be a finite number"):
        run.detector(threshold=float("nan"))


def l1_loss(teacher_features, student_features, axis_name):
    """A loss that is not one of the paper's, with a collective in it."""
    distances = [
        jnp.mean(jnp.abs(t - s)) for t, s in zip(teacher_features, student_features, strict=True)
    ]
    spread = jnp.var(jax.lax.pmean(student_features[2].mean((0, 1, 2)), axis_name))
    return sum(distances) + 0.0 * spread, {"largest": distances[0], "spread": spread}


def test_a_loss_of_ones_own_changes_the_result(fitted, model, parts, toy_root, tmp_path):
    own = fit(model, parts.train, loss=l1_loss, **SETTINGS)
    assert set(own.losses[0]) == {"step", "epoch", "loss", "largest", "spread", "grad_norm"}
    assert own.losses[1]["loss"] < own.losses[0]["loss"]
    kernel = ("params", "decoder", "layer1", "block0", "conv2", "kernel")
    values = [found.model.student_variables for found in (own, fitted)]
    for name in kernel:
        values = [value[name] for value in values]
    assert not np.array_equal(*values)
    run = own.save(tmp_path / "own")
    assert evaluate(run.model(), parts.test, batch_size=4).metrics.keys()
    with pytest.raises(CheckpointError, match="the loss l1_loss and cannot be trained further"):
        train(settings_of_the_same_run(toy_root), tmp_path / "own")


def test_the_same_loss_written_as_a_function_gives_the_same(fitted, model, parts):
    paper = RDVarLoss()

    def same(teacher_features, student_features, axis_name):
        return paper(teacher_features, student_features, axis_name)

    again = fit(model, parts.train, loss=same, devices=jax.local_devices()[:1], **SETTINGS)
    assert_same_arrays(again.state.params, fitted.state.params)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda t, s, axis: s[0].mean(), "must return a scalar and a dict of scalars"),
        (lambda t, s, axis: (s[0], {}), "must return a scalar and a dict of scalars"),
        (lambda t, s, axis: (s[0].mean(), {"loss": s[0].mean()}), "reserved name 'loss'"),
    ],
)
def test_a_wrong_loss_is_one_sentence(model, parts, loss, message):
    with pytest.raises(ConfigError, match=message):
        fit(model, parts.train, loss=loss, **SETTINGS)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((4, 32, 32, 3), np.float32), "pass uint8"),
        (np.zeros((4, 32, 32), np.uint8), "pass uint8"),
        (np.zeros((4, 32, 40, 3), np.uint8), "32x40; both sides must be multiples of 32"),
    ],
)
def test_wrong_images_are_one_sentence(model, images, message):
    for take in (lambda: fit(model, images, **SETTINGS), lambda: score(model, images),
                 lambda: model.features(images)):  # fmt: skip
        with pytest.raises(DataError, match=message):
            take()


def test_wrong_settings_are_said_together(model, parts):
    with pytest.raises(ConfigError) as error:
        fit(model, parts.train, loss=RDVarLoss(lambda_var=-1.0), epochs=0, batch_size=4)
    assert "loss.lambda_var=-1.0" in str(error.value)
    assert "train.epochs=0" in str(error.value)


def test_arrays_and_images_that_are_not_square(model, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 64, 3), np.uint8)
    fitted = fit(model, images, epochs=1, batch_size=4, progress=False)
    assert fitted.model.features(images[:1]).student[0].shape == (1, 8, 16, 4)
    assert load_config(fitted.save(tmp_path / "run").workdir).data.image_size == (32, 64)


def test_images_at_hand_may_be_over_the_memory_budget(fitted, model, parts):
    images = dataclasses.replace(
        parts.train, settings={**parts.train.settings, "memory_budget_gb": 0.0}
    )
    again = fit(model, images, devices=jax.local_devices()[:1], **SETTINGS)
    assert_same_arrays(again.state, fitted.state)


def test_features_are_those_of_both_networks(fitted, parts):
    found = fitted.model.features(parts.test.images[:3], batch_size=2)
    assert [x.shape for x in found.teacher] == [(3, 8, 8, 4), (3, 4, 4, 8), (3, 2, 2, 16)]
    assert [x.shape for x in found.student] == [x.shape for x in found.teacher]
    # The map is made of them: 1 - cos at the deepest scale, by numpy.
    t, s = found.teacher[2], found.student[2]
    cosine = (t * s).sum(-1) / np.linalg.norm(t, axis=-1) / np.linalg.norm(s, axis=-1)
    assert 0 < (1 - cosine).mean() < 1


def test_load_category_takes_a_folder_of_images(toy_root):
    parts = load_category(toy_root / "tile" / "train" / "good", image_size=(32, 64), progress=False)
    assert parts.train.images.shape == (10, 32, 64, 3)
    with pytest.raises(DataError, match="holds no test images"):
        _ = parts.test
    with pytest.raises(ConfigError, match="geometry='tile' is not one of squash, crop, pad"):
        load_category(toy_root / "tile", geometry="tile")
