"""What is said where a package is missing."""

import tomllib
from pathlib import Path

import pytest

from rdvar_jax.extras import EXTRAS, ending_where_packages_are_missing, missing_package

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]


def test_a_command_ends_with_what_to_install(capsys):
    with pytest.raises(SystemExit) as ended, ending_where_packages_are_missing():
        raise ModuleNotFoundError(name="onnx.helper")
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        'rdvar: onnx is not installed, and this needs it; run: pip install "rdvar-jax[onnx]"\n'
    )


def test_other_packages_are_of_training():
    sentence = missing_package(ModuleNotFoundError(name="flax"))
    assert sentence and sentence.endswith('pip install "rdvar-jax[train]"')


def test_a_defect_of_our_own_stays_one():
    with pytest.raises(ModuleNotFoundError), ending_where_packages_are_missing():
        raise ModuleNotFoundError(name="rdvar_jax.nowhere")


def test_the_extras_are_those_of_the_project():
    assert {*EXTRAS.values(), "train"} <= set(PROJECT["optional-dependencies"])
