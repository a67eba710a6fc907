"""Settings: defaults are the paper's, and everything that cannot be used is said at once."""

import importlib.util
import json
from pathlib import Path

import pytest

from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.errors import CheckpointError, ConfigError
from rdvar_jax.runs.checks import (
    check_evaluation,
    check_import,
    check_prediction,
    check_training,
)
from rdvar_jax.runs.config import (
    config_from_json,
    default_config,
    determining_settings,
    resolved,
    stages,
    with_full_scale,
)
from rdvar_jax.runs.presets import PRESETS, preset
from rdvar_jax.runs.recipe import Recipe
from rdvar_jax.runs.workdir import refuse_other_settings
from rdvar_jax.training.losses import RDVarLoss

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.py"))


@pytest.fixture
def config(toy_root):
    config = default_config()
    config.data.root = str(toy_root)
    config.data.category = "tile"
    return config


def set_value(config, name, value):
    section, key = name.split(".")
    config[section][key] = value


def test_defaults_are_the_papers_setting(config):
    check_training(config, num_local_devices=1)
    train = config.train
    assert (train.epochs, train.batch_size, train.learning_rate) == (200, 16, 0.005)
    assert (train.beta1, train.beta2, config.data.image_size) == (0.5, 0.999, 256)
    assert Recipe(config, Parallel("pmap", ())).loss == RDVarLoss()
    assert config.teacher.arch == "wide_resnet50_2"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("data.image_size", 225, "data.image_size=225 must be a multiple of 32.*use 224"),
        ("data.image_size", 0, "multiple of 32"),
        ("data.image_size", (256, 100), r"image_size=\(256, 100\) must be two multi.*use 256,96"),
        ("data.image_size", (256, 256, 3), "must be one whole number, or two, height and width"),
        ("data.image_size", (256, 32.0), "must be one whole number, or two, height and width"),
        ("data.geometry", "stretch", "data.geometry=stretch is not one of squash, crop, pad"),
        ("data.geometry", "tile", "000.png has 64x64 pixels, fewer than a tile of 256x256"),
        ("data.tile_overlap", 0.95, "data.tile_overlap=0.95 must be at least 0 and at most 0.9"),
        ("data.root", "", "data.root is empty"),
        ("data.root", "/nowhere", "/nowhere"),
        ("data.category", "", "data.category is empty; name it after the config file"),
        ("data.category", "tiles", "tiles.*one of: tile"),
        (
            "data.mask_threshold",
            "most",
            "data.mask_threshold=most is not one of auto, half, any, or a",
        ),
        ("data.mask_threshold", 0, "data.mask_threshold=0 is .* whole number from 1 to 255"),
        ("data.mask_orientation", "exif", "data.mask_orientation=exif is not one of own, image"),
        ("data.source", "csv", "data.source=csv is not one of folder, tfds"),
        ("data.source", "tfds", "data.source=tfds: there is no set of the category 'tile'"),
        ("data.memory_budget_gb", -1.0, "data.memory_budget_gb=-1.0 must be at least 0"),
        ("data.memory_budget_gb", float("nan"), "data.memory_budget_gb=nan"),
        ("data.num_workers", -1, "data.num_workers=-1 must be at least 0"),
        ("teacher.arch", "vgg16", "teacher.arch=vgg16 is not one of resnet18"),
        ("teacher.weights", "no.pth", "teacher.weights=no.pth is not a file"),
        ("teacher.stem_width", 0, "teacher.stem_width=0 must be at least 1"),
        ("model.name", "rd", "model.name=rd is not one of reverse_distillation, stfpm"),
        ("train.optimiser", "adamw", "train.optimiser=adamw is not one of adam, sgd"),
        ("train.weight_decay", -0.1, "train.weight_decay=-0.1 must be at least 0"),
        ("loss.lambda_var", -0.1, "loss.lambda_var=-0.1 must be at least 0"),
        ("loss.lambda_var", float("nan"), "loss.lambda_var=nan"),
        ("loss.stages", ("d4",), "loss.stages=d4 is not one of d1, d2, d3"),
        ("loss.stages", ("d1", "d1"), "names a stage twice"),
        ("loss.distance", "l3", "loss.distance=l3 is not one of cosine, l1, l2"),
        ("loss.reduction", "max", "loss.reduction=max"),
        ("loss.distillation", "patch", "loss.distillation=patch is not one of flat, pixel"),
        ("train.epochs", 0, "train.epochs=0 must be at least 1"),
        ("train.epochs", 1, "10 images fill no batch of train.batch_size=16"),
        ("train.batch_size", 0, "train.batch_size=0 must be at least 1"),
        ("train.seed", -1, "train.seed=-1"),
        ("train.learning_rate", 0.0, "train.learning_rate=0.0 must be over 0"),
        ("train.beta1", 1.0, "train.beta1=1.0"),
        ("train.best_metric", "accuracy", "train.best_metric=accuracy is not one of train_loss"),
        ("train.best_metric", "oracle_aupro", "needs evaluations during training"),
        ("train.best_metric", "test_aupro", "by test labels.* called oracle_aupro; use that"),
        ("data.validation", 1.0, "data.validation=1.0 must be at least 0 and under 1"),
        ("data.validation", -0.1, "data.validation=-0.1 must be"),
        ("data.validation", 0.99, "data.validation=0.99 of 10 training images leaves none"),
        ("score.batch_size", 0, "score.batch_size=0"),
        ("score.sigma", -1.0, "score.sigma=-1.0"),
        ("score.pooling", "mean", "score.pooling=mean must be max, or a number over 0 and at most"),
        ("parallel.mode", "pjit", "parallel.mode=pjit is not one of pmap, shard_map"),
        ("parallel.num_devices", 9, "parallel.num_devices=9 but this process has 1"),
        ("report.max_figures", -1, "report.max_figures=-1"),
    ],
)
def test_each_bad_setting_is_named_with_its_mend(config, name, value, message):
    set_value(config, name, value)
    with pytest.raises(ConfigError, match=message) as info:
        check_training(config, num_local_devices=1)
    assert len(str(info.value).splitlines()) == 1


def test_a_batch_must_split_over_the_devices(config):
    config.train.batch_size = 6
    with pytest.raises(ConfigError, match="train.batch_size=6 cannot be split over 4.*use 4"):
        check_training(config, num_local_devices=4)
    check_evaluation(config, num_local_devices=4)  # which splits score.batch_size only


def test_a_batch_must_split_over_the_devices_of_all_processes(config):
    check_training(config, num_local_devices=4, num_processes=4)
    config.train.batch_size = config.score.batch_size = 8  # process 0 scores alone
    message = "train.batch_size=8 cannot be split over 16 devices of 4 processes; use 16."
    with pytest.raises(ConfigError, match=message) as info:
        check_training(config, num_local_devices=4, num_processes=4)
    assert len(str(info.value).splitlines()) == 1


def test_devices_cannot_be_chosen_with_several_processes(config):
    config.parallel.num_devices = 2
    check_training(config, num_local_devices=4)
    with pytest.raises(ConfigError, match="parallel.num_devices=2 is for one process; .*leave it"):
        check_training(config, num_local_devices=4, num_processes=2)


def test_only_training_takes_several_processes(config):
    config.distributed.num_processes = 2
    check_training(config, num_local_devices=1, num_processes=2)
    for check in (check_evaluation, check_prediction, check_import):
        with pytest.raises(ConfigError, match="only rdvar train uses several processes; omit"):
            check(config, num_local_devices=1)


def test_all_bad_settings_are_said_at_once(config):
    bad = {"data.image_size": 100, "loss.lambda_var": -1.0, "loss.distance": "x", "train.epochs": 0}
    for name, value in bad.items():
        set_value(config, name, value)
    with pytest.raises(ConfigError) as info:
        check_training(config, num_local_devices=1)
    lines = str(info.value).splitlines()
    assert len(lines) == 4
    assert all(any(name in line for line in lines) for name in bad)


@pytest.mark.parametrize(
    ("given", "expected"),
    [(("d1",), ("d1",)), (("d1,d2",), ("d1", "d2")), (("D1+d3",), ("d1", "d3"))],
)
def test_stages_as_the_command_line_gives_them(config, given, expected):
    config.loss.stages = given
    assert stages(config) == expected


def test_json_round_trip(config):
    config.loss.stages = ("d1", "d3")
    config.data.image_size = (256, 384)
    again = config_from_json(config.to_json())
    assert again.to_dict() == config.to_dict()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"data": 3}', '{"data": {"nope": 1}}', '{"train": {"epochs": "x"}}']
)
def test_a_damaged_config_file_is_a_config_error(text):
    with pytest.raises(ConfigError):
        config_from_json(text)


def test_what_a_run_may_change_when_it_goes_on(config):
    before = determining_settings(config)
    for name, value in {
        "train.epochs": 300,
        "data.root": "/elsewhere",
        "parallel.mode": "shard_map",
        "distributed.num_processes": 2,
        "score.batch_size": 4,
        "report.max_figures": 3,
    }.items():
        set_value(config, name, value)
    assert determining_settings(config) == before


def test_auto_gives_way_to_the_number_of_the_run(config):
    config.data.full_scale = "auto"
    decided = with_full_scale(config, 4095)
    assert decided.data.full_scale == 4095 and config.data.full_scale == "auto"
    assert config_from_json(decided.to_json()).data.full_scale == 4095
    assert with_full_scale(decided, 255).data.full_scale == 4095


def test_all_that_changes_a_step_is_part_of_what_a_run_is(config):
    """Written down, so that a setting leaves or joins the list only by a decision."""
    assert set(determining_settings(config)) == {
        "data.category",
        "data.full_scale",
        "data.image_size",
        "data.geometry",
        "data.tile_overlap",
        "data.validation",
        "data.allow_mixed_sizes",
        "teacher.arch",
        "teacher.weights",
        "teacher.stem_width",
        "model.name",
        "loss.lambda_var",
        "loss.stages",
        "loss.distance",
        "loss.reduction",
        "loss.stop_gradient_mean",
        "loss.distillation",
        "train.batch_size",
        "train.seed",
        "train.learning_rate",
        "train.beta1",
        "train.beta2",
        "train.optimiser",
        "train.weight_decay",
        "compute.precision",
    }


def test_the_seed_chooses_the_validation_images(config):
    config.data.validation = 0.3
    taken = set()
    for config.train.seed in range(4):
        category = check_training(config, num_local_devices=1)
        taken.add(tuple(record.name for record in category.validation))
    assert {len(names) for names in taken} == {3} and len(taken) > 1


def test_a_run_goes_on_that_was_saved_before_a_setting_was_there(config):
    now = determining_settings(config)
    saved = {name: value for name, value in now.items() if name != "data.validation"}
    refuse_other_settings(saved, now, "W")
    config.data.validation = 0.1
    with pytest.raises(CheckpointError, match="data.validation was 0.0, now 0.1"):
        refuse_other_settings(saved, determining_settings(config), "W")


def test_two_equal_sides_are_one_size(config):
    config.data.image_size = (128, 128)
    assert resolved(config).data.image_size == 128
    config.data.image_size = (128, 160)
    assert resolved(config).data.image_size == (128, 160)
    check_training(resolved(config), num_local_devices=1)


def test_height_and_width_are_part_of_what_a_run_is(config):
    saved = determining_settings(config)
    del saved["data.geometry"]  # of a run from before there was one
    refuse_other_settings(saved, determining_settings(config), "W")
    config.data.image_size = (256, 384)
    now = determining_settings(config)
    refuse_other_settings(json.loads(json.dumps(now)), now, "W")
    with pytest.raises(CheckpointError, match=r"data.image_size was 256, now \[256, 384\]"):
        refuse_other_settings(saved, now, "W")
    config.data.image_size = 256
    config.data.geometry = "pad"
    with pytest.raises(CheckpointError, match="data.geometry was 'squash', now 'pad'"):
        refuse_other_settings(saved, determining_settings(config), "W")


def test_tiles_fill_batches(config):
    """Ten images of 64 x 64 with four tiles each, one epoch: 40 tiles."""
    config.data.geometry, config.data.image_size, config.data.tile_overlap = "tile", 32, 0.0
    config.train.epochs, config.train.batch_size = 1, 40
    check_training(config, num_local_devices=1)
    config.train.batch_size = 41
    with pytest.raises(ConfigError, match="of 40 images fill no batch of train.batch_size=41"):
        check_training(config, num_local_devices=1)


def test_tiled_images_have_one_size(config):
    config.data.geometry, config.data.image_size = "tile", 32
    config.data.allow_mixed_sizes = True
    with pytest.raises(ConfigError, match="allow_mixed_sizes=True cannot be used with .*tile"):
        check_training(config, num_local_devices=1)


def test_an_image_size_is_no_word(config):
    with pytest.raises(TypeError):
        config.data.image_size = "large"


def test_a_saved_run_with_an_old_name_of_an_oracle_is_read(config):
    text = config.to_json().replace('"train_loss"', '"test_aupro"')
    assert config_from_json(text).train.best_metric == "oracle_aupro"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_files_take_a_category_and_say_how_they_are_run(path, toy_root):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config("tile")
    config.data.root = str(toy_root)
    check_training(config, num_local_devices=1)
    assert config.data.category == "tile"
    assert f"rdvar train --config configs/{path.name}:" in module.__doc__
    assert "rdvar evaluate --workdir" in module.__doc__
    name = path.stem.removeprefix("mvtec_")
    assert name in PRESETS and module.get_config().to_json() == preset(name).to_json()


@pytest.mark.parametrize("name", PRESETS)
def test_presets_say_how_they_are_run(name):
    documentation = importlib.import_module(f"rdvar_jax.runs.presets.{name}").__doc__
    assert f"rdvar train --config {name}:" in documentation
    assert "rdvar evaluate --workdir" in documentation


def test_an_unknown_preset_names_those_that_exist():
    with pytest.raises(ValueError, match="'wrn'; there are wrn50, resnet18, demo, smoke, stfpm"):
        preset("wrn")
