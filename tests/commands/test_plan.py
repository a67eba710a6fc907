"""Choice of network, size and epochs from photographs, minutes and the machine's speed."""

import math
import time

import pytest

from rdvar_jax.commands.planning import plan
from rdvar_jax.commands.planning.photographs import permitted
from rdvar_jax.commands.planning.plan import Photographs, choose, make_plan, num_trainings
from rdvar_jax.errors import WeightsError
from rdvar_jax.models.image_size import height_width
from rdvar_jax.runs.config import default_config

BOTH = ["resnet18", "wide_resnet50_2"]
TWO_CORES = 150_000.0  # 10^6 operations per second


def config_of(**train):
    config = default_config()
    config.train.update(batch_size=8, folds=3, **train)
    return config


def chosen(minutes, number=100, size_wh=(1280, 960), archs=BOTH, speed=TWO_CORES, given=()):
    photographs = Photographs(number, 0, size_wh)
    return choose(config_of(), photographs, minutes, archs, speed, given)


def cost(choice):
    return choice.step_seconds(8, TWO_CORES)


def test_more_minutes_never_give_less_and_the_size_has_the_aspect_of_the_photographs():
    found = [chosen(minutes) for minutes in (1, 5, 15, 60, 240, 6000)]
    assert [cost(one) for one in found] == sorted(cost(one) for one in found)
    assert found[0].arch == "resnet18" and found[-1].arch == "wide_resnet50_2"
    for one in found:
        height, width = one.size
        assert height % 32 == width % 32 == 0 and width / height == pytest.approx(4 / 3, rel=0.17)


def test_a_faster_machine_is_given_more_and_more_photographs_less():
    assert cost(chosen(15, speed=100 * TWO_CORES)) > cost(chosen(15))
    assert cost(chosen(60, number=5000)) < cost(chosen(60, number=100))


def test_sizes_of_the_photographs_are_not_exceeded():
    assert chosen(6000, size_wh=(100, 100)).size == (96, 96)
    assert chosen(6000, size_wh=(20, 20)).size == (96, 96)  # the smallest there is


def test_only_weights_at_hand_are_chosen():
    assert chosen(6000, archs=["resnet18"]).arch == "resnet18"
    assert chosen(1, archs=["wide_resnet50_2"]).arch == "wide_resnet50_2"


@pytest.fixture
def probed(monkeypatch):
    """A machine on which a step takes 0.2 s, with the weights of both networks."""
    monkeypatch.setattr(plan, "probe_speed", lambda: 3 * TWO_CORES)
    monkeypatch.setattr(plan, "probe_step", lambda config: 0.2)
    monkeypatch.setattr(plan, "weights_at_hand", lambda arch: arch)


def planned(config, minutes=15, number=100, given=()):
    photographs = Photographs(number, 0, (640, 480))
    return make_plan(config, photographs, minutes, given, time.perf_counter())


def test_epochs_fill_the_minutes(probed):
    found = planned(default_config())
    train = found.config.train
    assert (train.batch_size, train.folds) == (8, 3)
    steps = math.floor(train.epochs * 100 / 8) * num_trainings(found.config)
    assert 0.2 * steps == pytest.approx(15 * 60, rel=0.15)
    assert found.minutes == pytest.approx(15, rel=0.05)
    (line,) = found.lines()
    assert f"{train.epochs} epochs, 3 folds, about 15 minutes" in line
    assert "--minutes 60 gives WideResNet50, 256x192 px" in line


def test_what_is_given_stays(probed):
    config = default_config()
    config.data.image_size, config.train.epochs, config.train.folds = 64, 7, 2
    given = {"data.image_size", "train.epochs", "train.folds"}
    found = planned(config, given=given).config
    assert (found.data.image_size, found.train.epochs, found.train.folds) == (64, 7, 2)


def test_many_photographs_are_held_out_instead_of_trained_on_by_turns(probed):
    found = planned(default_config(), number=2000).config
    assert (found.data.validation, found.train.folds) == (0.2, 0)


def test_a_short_time_is_exceeded_rather_than_hardly_trained(probed):
    found = planned(default_config(), minutes=0.5, number=400)
    assert found.config.train.epochs == plan.MIN_EPOCHS and found.minutes > 0.5


@pytest.mark.parametrize("slower", [1, 1.5, 3, 10])
def test_a_smaller_network_is_taken_where_steps_are_slower_than_expected(
    probed, monkeypatch, slower
):
    tried = []

    def probe_step(config):
        height, width = height_width(config.data.image_size)
        tried.append(plan.Choice(config.teacher.arch, (height, width)))
        return slower * cost(tried[-1]) / 2

    monkeypatch.setattr(plan, "probe_step", probe_step)
    found = planned(default_config(), number=300)
    assert found.choice == tried[-1] and len(tried) == len(set(tried)) <= 3
    assert (found.choice == tried[0]) == (slower == 1)
    assert found.minutes <= 1.1 * 15 or found.choice == plan.Choice("resnet18", (96, 128))


@pytest.mark.parametrize("number", [4, 12, 19, 58, 59, 500])
def test_what_a_number_of_photographs_permits(number):
    text = permitted(number, 0.05)
    assert ("at best" in text) == (number < 19)
    assert ("--confidence" in text) == (number >= 59) and ("needs 59" in text) == (number < 59)
    if number == 12:
        assert "7.7 %" in text and "need 19" in text


def test_the_drawn_teacher_and_other_backbones_can_be_given(probed):
    config = default_config()
    config.teacher.weights = "procedural"
    found = planned(config, given={"teacher.weights"}).config.teacher
    assert (found.arch, found.stem_width) == ("resnet18", 32)
    config = default_config()
    config.teacher.arch = "resnet34"
    assert planned(config, given={"teacher.arch"}).choice.arch == "resnet34"


def test_without_any_weights_the_error_comes_before_the_probe(monkeypatch):
    def fetch(arch):
        raise WeightsError(f"no {arch} here")

    monkeypatch.setattr(plan, "weights_at_hand", lambda arch: None)
    monkeypatch.setattr(plan, "fetch", fetch)
    with pytest.raises(WeightsError, match="no resnet18 here"):
        planned(default_config())
