"""What a command says where a package is missing."""

import tomllib
from pathlib import Path

import pytest

from rdvar_jax.cli.ending import report_error
from rdvar_jax.cli.extras import EXTRAS, missing_package

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def test_a_command_ends_with_what_to_install(capsys):
    assert report_error(ModuleNotFoundError(name="onnx.helper")) == 2
    assert capsys.readouterr().err == (
        'rdvar: onnx is required but not installed; run: pip install "rdvar-jax[onnx]"\n'
    )


def test_other_packages_are_of_training():
    sentence = missing_package(ModuleNotFoundError(name="flax"))
    assert sentence and sentence.endswith('pip install "rdvar-jax[train]"')


def test_a_defect_of_our_own_stays_one():
    with pytest.raises(ModuleNotFoundError):
        report_error(ModuleNotFoundError(name="rdvar_jax.nowhere"))


def test_the_extras_are_those_of_the_project():
    assert {*EXTRAS.values(), "train"} <= set(PROJECT["optional-dependencies"])
