"""`--config FILE[:CATEGORY]` and `--config.SECTION.NAME` in all spellings."""

from pathlib import Path

import pytest

from rdvar_jax.cli import settings as settings_module
from rdvar_jax.cli.main import COMMANDS, build_parsers
from rdvar_jax.cli.settings import (
    CHECKPOINTS,
    READERS,
    apply_settings,
    load_config_file,
    read_config,
    setting_names,
    split_category,
    take_settings,
)
from rdvar_jax.errors import ConfigError
from rdvar_jax.runs.config import default_config
from rdvar_jax.training import checkpoint

REPOSITORY = Path(__file__).resolve().parents[2]


def value(name: str, *words: str):
    """The setting's value after a command with these words."""
    settings, rest = take_settings(words)
    assert not rest
    config = default_config()
    apply_settings(config, settings)
    section, key = name.split(".")
    return config[section][key]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), 256),
        (("--config.data.image_size=128",), 128),
        (("--config.data.image_size", "128"), 128),
        (("--config.data.image_size=256,384",), (256, 384)),
        (("--config.data.image_size=(256, 384)",), (256, 384)),
        (("--config.data.image_size", "256,384"), (256, 384)),
        (("--config.data.image-size=128",), 128),
    ],
)
def test_image_size_is_a_number_or_two(words, expected):
    assert value("data.image_size", *words) == expected


@pytest.mark.parametrize("word", ["large", "256x384", "256.0", "True", "[256, 384]", "256,a", ""])
def test_any_other_image_size_is_refused(word):
    with pytest.raises(ConfigError, match=r"--config\.data\.image_size=.* must be S, or H,W"):
        value("data.image_size", f"--config.data.image_size={word}")


@pytest.mark.parametrize(
    ("name", "words", "expected"),
    [
        ("train.epochs", ("=3",), 3),
        ("train.epochs", ("3",), 3),
        ("distributed.process_id", ("-1",), -1),
        ("train.learning_rate", ("=1e-3",), 1e-3),
        ("train.learning_rate", ("=1",), 1.0),
        ("loss.lambda_var", ("-0.5",), -0.5),
        ("logging.tensorboard", ("=true",), True),
        ("logging.tensorboard", ("=True",), True),
        ("logging.tensorboard", ("=1",), True),
        ("logging.tensorboard", ("=F",), False),
        ("logging.tensorboard", (), True),
        ("logging.tensorboard", ("True",), True),
        ("logging.tensorboard", ("false",), False),
        ("data.root", ("=a=b:c",), "a=b:c"),
        ("data.root", ("a b",), "a b"),
        ("teacher.weights", ("=",), ""),
        ("data.category", ("=7",), "7"),
        ("score.pooling", ("=max",), "max"),
        ("score.pooling", ("=0.01",), 0.01),
        ("score.pooling", ("1",), 1.0),
        ("loss.stages", ("=d1",), ("d1",)),
        ("loss.stages", ("=d1+d2",), ("d1+d2",)),
        ("loss.stages", ("=d1,d2",), ("d1,d2",)),
        ("loss.stages", ("=('d1', 'd2')",), ("d1", "d2")),
        ("loss.stages", ("=['d1']",), ("d1",)),
        ("loss.stages", ("='d1'",), ("d1",)),
        ("loss.stages", ("=1",), ("1",)),
    ],
)
def test_values_have_the_type_of_the_setting(name, words, expected):
    first, *rest = words or ("",)
    given = [f"--config.{name}{first}"] if first[:1] in ("", "=") else [f"--config.{name}", first]
    found = value(name, *given, *rest)
    assert found == expected and type(found) is type(expected)


def test_a_switch_can_be_turned_off():
    assert value("data.allow_mixed_sizes", "--config.data.allow_mixed_sizes") is True
    words = ("--config.data.allow_mixed_sizes", "--noconfig.data.allow_mixed_sizes")
    assert value("data.allow_mixed_sizes", *words) is False


def test_the_last_setting_counts_and_parts_of_a_tuple_add_up():
    assert value("train.epochs", "--config.train.epochs=3", "--config.train.epochs", "5") == 5
    words = ("--config.loss.stages=d1", "--config.loss.stages=d3")
    assert value("loss.stages", *words) == ("d1", "d3")


def test_every_setting_has_a_reader():
    config = default_config()
    for name in setting_names(config):
        section, key = name.split(".")
        assert config[section].get_type(key) in READERS, name


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("--config.train.epochs=many", "--config.train.epochs=many must be a whole number."),
        ("--config.train.epochs=1.5", "--config.train.epochs=1.5 must be a whole number."),
        ("--config.loss.lambda_var=x", "--config.loss.lambda_var=x must be a number."),
        ("--config.distributed.auto=yes", "--config.distributed.auto=yes must be true or false."),
        ("--config.train.epoch=3", "unknown setting train.epoch; did you mean train.epochs?"),
        ("--config.image_size=3", "unknown setting image_size; did you mean data.image_size?"),
        ("--config.train.sigma=3", "unknown setting train.sigma; did you mean score.sigma?"),
        ("--config.zebra=3", "unknown setting zebra; rdvar settings lists all."),
        ("--config.train=3", "unknown setting train; "),
        ("--config.train.epochs", "--config.train.epochs has no value; give"),
        ("--noconfig.train.epochs", "unknown flag --noconfig.train.epochs; give"),
        ("--noconfig.distributed.auto=1", "unknown flag --noconfig.distributed.auto=1; give"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(word, sentence):
    with pytest.raises(ConfigError) as info:
        value("train.epochs", word)
    assert str(info.value).startswith(sentence)
    assert len(str(info.value).splitlines()) == 1


def test_all_problems_are_said_at_once():
    with pytest.raises(ConfigError) as info:
        value("train.epochs", "--config.train.epochs=x", "--config.a.b=1", "--config.score.sigma=y")
    assert len(str(info.value).splitlines()) == 3


def test_a_flag_is_no_value_of_a_setting():
    with pytest.raises(ConfigError, match="data.root has no value"):
        take_settings(["--config.data.root", "--workdir", "W"])


def test_other_words_stay_in_their_order():
    words = ["--input", "a", "--config.score.batch_size", "4", "b", "--config", "x.py:c", "--"]
    settings, rest = take_settings([*words, "--config.train.seed=1"])
    assert settings == [("score.batch_size", "4")]
    assert rest == ["--input", "a", "b", "--config", "x.py:c", "--", "--config.train.seed=1"]


@pytest.mark.parametrize(
    ("text", "arch", "category"),
    [("wrn50", "wide_resnet50_2", ""), ("resnet18:bottle", "resnet18", "bottle")],
)
def test_a_preset_needs_no_file(text, arch, category, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = read_config(text, [])
    assert (config.teacher.arch, config.data.category) == (arch, category)
    assert config.is_locked


def test_a_file_with_the_name_of_a_preset_is_named_with_its_folder(tmp_path, monkeypatch):
    (tmp_path / "demo").write_text(
        "from rdvar_jax.config import preset\n"
        "def get_config(category=''):\n"
        "    config = preset('demo', category)\n"
        "    config.train.epochs = 1\n"
        "    return config\n"
    )
    monkeypatch.chdir(tmp_path)
    assert read_config("demo:nut", []).train.epochs == 60
    assert read_config("./demo:nut", []).train.epochs == 1


@pytest.mark.parametrize(
    ("text", "way_out"),
    [
        ("resnet", "did you mean resnet18?"),
        ("nowhere.py:tile", "the presets are wrn50, resnet18, demo, smoke, stfpm."),
    ],
)
def test_a_config_that_does_not_exist_suggests_presets(text, way_out):
    with pytest.raises(ConfigError) as error:
        read_config(text, [])
    name = text.split(":")[0]
    assert (
        str(error.value) == f"--config {name}: there is no such file and no such preset; {way_out}"
    )


@pytest.mark.parametrize(
    ("text", "file", "category"),
    [
        ("configs/x.py", "configs/x.py", None),
        ("configs/x.py:bottle", "configs/x.py", "bottle"),
        ("configs/x.py:", "configs/x.py", ""),
        ("C:\\x.py", "C:\\x.py", None),
        ("C:\\x.py:bottle", "C:\\x.py", "bottle"),
        ("c:/x.py:bottle", "c:/x.py", "bottle"),
        ("c:x.py", "c:x.py", None),
        ("run:3/x.py:bottle", "run:3/x.py", "bottle"),
    ],
)
def test_a_drive_letter_is_no_config_file(text, file, category, monkeypatch):
    assert split_category(text) == (file, category)
    calls = []
    monkeypatch.setattr(
        settings_module, "load_config_file", lambda *args: calls.append(args) or default_config()
    )
    read_config(text, [])
    assert calls == [(file, *([] if category is None else [category]))]


def test_a_config_file_and_its_settings():
    settings, _ = take_settings(["--config.train.epochs=7"])
    config = read_config(f"{REPOSITORY / 'configs' / 'smoke.py'}:tile", settings)
    assert (config.data.category, config.teacher.stem_width, config.train.epochs) == ("tile", 16, 7)
    assert config.is_locked


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("def get_config(:\n", ["SyntaxError"]),
        ("import nowhere_at_all\n", ["ModuleNotFoundError: No module named 'nowhere_at_all'"]),
        ("def get_config():\n    raise ValueError('a\\nb')\n", ["(ValueError: a b)"]),
        ("x = 1\n", ["AttributeError", "get_config"]),
        ("def get_config():\n    return {}\n", ["returns a dict", "must return a config"]),
    ],
)
def test_a_config_file_that_cannot_be_used(text, parts, tmp_path):
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(ConfigError) as info:
        load_config_file(path)
    sentence = str(info.value)
    assert sentence.startswith(f"--config {path} cannot be read (")
    assert len(sentence.splitlines()) == 1
    assert all(part in sentence for part in parts), sentence


def test_a_config_file_may_hold_dataclasses(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from rdvar_jax.runs.config import default_config\n\n"
        "@dataclass\n"
        "class Mine:\n"
        "    epochs: int = 9\n\n"
        "def get_config(category='none'):\n"
        "    config = default_config()\n"
        "    config.train.epochs = Mine().epochs\n"
        "    config.data.category = category\n"
        "    return config\n"
    )
    assert read_config(str(path), []).train.epochs == 9
    assert read_config(str(path), []).data.category == "none"
    assert read_config(f"{path}:bolt", []).data.category == "bolt"


def test_the_settings_that_help_names_exist():
    names = setting_names(default_config())
    _, parsers = build_parsers()
    useful = {command: parsers[command].useful_settings for command in COMMANDS}
    assert useful["train"] and useful["predict"] and useful["report"] is None
    for command, settings in useful.items():
        assert {*(settings or ())} <= set(names), command


def test_the_states_are_those_that_are_saved():
    assert tuple(checkpoint.CHECKPOINTS) == CHECKPOINTS
