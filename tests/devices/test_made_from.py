"""Descriptions of functions: they hold all that a compiled program depends on."""

import os
import time
from dataclasses import dataclass
from functools import wraps

import jax
import numpy as np
import pytest

from rdvar_jax.devices import made_from
from rdvar_jax.devices.made_from import code_in_programs, describe
from rdvar_jax.devices.parallel import Parallel, made_once
from rdvar_jax.models.build import build_student, build_teacher
from rdvar_jax.scoring.scores import make_score_step
from rdvar_jax.training.losses import RDVarLoss
from rdvar_jax.training.step import build_optimiser, make_train_step


def score_step(size=64, sigma=4.0, ignored=None, arch="resnet18", pooling="max"):
    networks = build_teacher(arch, 8), build_student(arch, 8)
    return describe(make_score_step(*networks, size, sigma, "float32", pooling, ignored))


def train_step(loss=None, rate=0.005, precision="float32"):
    networks = build_teacher("resnet18", 8), build_student("resnet18", 8, "data")
    tx = build_optimiser(rate, 0.5, 0.999)
    return describe(make_train_step(*networks, loss or RDVarLoss(), tx, precision))


def test_functions_that_differ_are_described_differently():
    found = [
        score_step(),
        score_step(size=(64, 96)),
        score_step(sigma=3.0),
        score_step(ignored=bytes(512)),
        score_step(arch="resnet34"),
        score_step(pooling=0.1),
        train_step(),
        train_step(RDVarLoss(lambda_var=0.3)),
        train_step(rate=0.001),
        train_step(precision="bfloat16"),
    ]
    assert None not in found and len(set(found)) == len(found)


def test_the_same_function_made_again_is_described_equally():
    before = score_step(), train_step()
    for maker in (make_score_step, make_train_step, build_optimiser):
        maker.forget()
    assert (score_step(), train_step()) == before


def test_what_is_not_of_this_package_has_no_description():
    @dataclass(frozen=True)
    class OwnLoss(RDVarLoss):
        pass

    assert train_step(OwnLoss()) is None
    assert train_step(lambda targets, features, axis_name: 0) is None
    assert describe(object()) is None and describe({1: 2}) is None


def test_a_function_around_another_does_not_have_its_description():
    step = make_score_step(build_teacher("resnet18", 8), build_student("resnet18", 8), 64)

    @wraps(step)
    def around(*args):
        return step(*args)

    assert describe(step) is not None and describe(around) is None


def test_devices_and_shardings_are_described():
    one, two = (Parallel("pmap", (device,)) for device in jax.local_devices()[:2])
    assert (
        len({describe(one), describe(two), describe(one.replicated), describe(two.replicated)}) == 4
    )
    assert describe(np.dtype("float32")) != describe(np.dtype("int32"))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two modules, as if this were its `devices/made_from.py`."""
    for name in ("devices/made_from.py", "models/layers.py"):
        path = tmp_path / "rdvar_jax" / name
        path.parent.mkdir(parents=True)
        path.write_text("first")
        os.utime(path, (1, 1))
    monkeypatch.setattr(made_from, "__file__", str(tmp_path / "rdvar_jax/devices/made_from.py"))
    monkeypatch.setattr(made_from, "ROOMS", ("devices", "models"))
    return tmp_path / "rdvar_jax"


def test_other_code_is_another_program(package, monkeypatch):
    code = code_in_programs.__wrapped__
    before, layers = code(), package / "models" / "layers.py"
    assert before == code()
    layers.write_text("other")
    os.utime(layers, (1, 1))
    assert code() not in (before, None)
    layers.write_text("first")
    os.utime(layers, (1, 1))
    assert code() == before
    monkeypatch.setattr(made_from, "_version_of", lambda library: "99")
    assert code() not in (before, None)


def test_code_that_has_just_changed_is_unknown(package):
    os.utime(package / "models" / "layers.py", (time.time(), time.time()))
    assert code_in_programs.__wrapped__() is None


def test_without_source_files_nothing_is_known(package, monkeypatch):
    monkeypatch.setattr(made_from, "ROOMS", ())
    assert code_in_programs.__wrapped__() is None


def test_made_once_describes_what_it_makes():
    @made_once
    def make(factor):
        return lambda x: factor * x

    assert describe(make(2)) != describe(make(3)) and describe(make(2)) is not None
    assert make([2]) is not make([2]) and describe(make([2])) is None  # no hash
