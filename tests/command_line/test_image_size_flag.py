"""`--config.data.image_size` in all its spellings."""

from typing import Any

import pytest
from absl import flags

from rdvar_jax.command_line.settings import define_settings, parse_flags
from rdvar_jax.runs.config import default_config


def read(*arguments):
    values = flags.FlagValues()
    values.set_gnu_getopt(True)
    argv = ["rdvar", *arguments]
    define_settings(values, default_config(), argv)
    parse_flags(values, argv)
    config: Any = values["config"].value
    return config.data.image_size


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), 256),
        (("--config.data.image_size=128",), 128),
        (("--config.data.image_size", "128"), 128),
        (("--config.data.image_size=256,384",), (256, 384)),
        (("--config.data.image_size=(256, 384)",), (256, 384)),
        (("--config.data.image_size", "256,384"), (256, 384)),
    ],
)
def test_a_number_or_two(words, expected):
    assert read(*words) == expected


@pytest.mark.parametrize("word", ["large", "256x384", "256.0", "True", "[256, 384]", "256,a", ""])
def test_anything_else_is_refused(word):
    with pytest.raises(flags.Error, match="data.image_size.*give S, or H,W"):
        read(f"--config.data.image_size={word}")
