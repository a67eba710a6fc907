"""A finished run that the tests of the command line share."""

from pathlib import Path

import pytest
from rdvar_process import Rdvar


@pytest.fixture(scope="session")
def rdvar(toy_root, tmp_path_factory) -> Rdvar:
    return Rdvar(toy_root, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def trained(rdvar, tmp_path_factory) -> Path:
    """A finished run. Copy it before changing it."""
    workdir = tmp_path_factory.mktemp("runs") / "trained"
    done = rdvar.train(workdir)
    assert done.returncode == 0, done.stderr
    return workdir
