"""Other methods than reverse distillation, by name and of one's own."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from rdvar_jax import STFPM, Architecture, RDVarLoss, ReverseDistillation, fit, score
from rdvar_jax.errors import ConfigError
from rdvar_jax.models.methods import METHODS, get_method, name_of
from rdvar_jax.models.student import Student
from rdvar_jax.runs.config import default_config

ONE_BLOCK = Architecture("basic", (1, 1, 1), ocbe_blocks=1)


class ScaledStudent(Student):
    """Has a parameter of its own, and returns it after the maps."""

    @nn.compact
    def __call__(self, x, train):
        scale = self.param("scale_of_all", nn.initializers.normal(), (3,))
        maps = Student(self.architecture, self.stem_width, self.axis_name, name="rest")(x, train)
        return *maps, scale


class Own(ReverseDistillation):
    network = ScaledStudent


def own_loss(teacher_features, student_features, axis_name):
    loss, parts = RDVarLoss()(teacher_features, student_features, axis_name)
    pull = (student_features[3] ** 2).sum()
    return loss + pull, {**parts, "pull": pull}


def test_each_name_is_that_of_its_class():
    assert default_config().model.name == "reverse_distillation"
    for name, method in METHODS.items():
        model = method(ONE_BLOCK, weights="random", stem_width=4)
        assert get_method(name) is method and name_of(model) == name


def test_a_pyramid_student_is_trained_scored_and_kept(tiny, tmp_path):
    model = STFPM(ONE_BLOCK, weights="random", stem_width=4)
    loss = RDVarLoss(distillation="pixel")
    options = dict(epochs=2, batch_size=4, progress=False, devices=jax.devices()[:1])
    fitted = fit(model, tiny.images, loss=loss, optimiser="sgd", learning_rate=0.1, **options)
    assert fitted.losses[1]["loss_model"] < fitted.losses[0]["loss_model"]
    assert fitted.losses[0]["loss_var"] > 0

    # The map is the product of what `features` shows, so neither can be another student's.
    maps, scores = score(fitted, tiny.images[:4], sigma=0.0, devices=jax.devices()[:1])
    found = fitted.model.features(tiny.images[:4])
    expected = np.ones((4, 32, 32), np.float32)
    for pair in zip(found.teacher, found.student, strict=True):
        t, s = (x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-8) for x in pair)
        expected *= jax.image.resize(((t - s) ** 2).sum(-1) / 2, (4, 32, 32), "linear")
    np.testing.assert_allclose(maps, expected, rtol=1e-3)
    np.testing.assert_array_equal(scores, maps.max(axis=(1, 2)))

    again = fitted.save(tmp_path / "run").model()
    assert type(again) is STFPM
    np.testing.assert_array_equal(again.features(tiny.images[:4]).student[0], found.student[0])


@pytest.mark.slow  # the guide's own student is among the default tests
def test_a_method_of_ones_own_trains_its_parameters_and_cannot_be_kept(tiny, tmp_path):
    model = Own(ONE_BLOCK, weights="random", stem_width=4)
    options = dict(epochs=2, batch_size=4, progress=False, devices=jax.devices()[:1])
    fitted = fit(model, tiny.images, loss=own_loss, **options)
    assert fitted.losses[1]["pull"] < fitted.losses[0]["pull"]
    before = model.with_new_student(0).student_variables["params"]["scale_of_all"]
    after = fitted.model.student_variables["params"]["scale_of_all"]
    assert not np.allclose(before, after)
    maps, _ = score(fitted, tiny.images, batch_size=8)
    assert maps.shape == (8, 32, 32)
    with pytest.raises(ConfigError, match="model.name=Own is not one of reverse_distillation"):
        fitted.save(tmp_path / "run")
    assert not (tmp_path / "run").exists()
