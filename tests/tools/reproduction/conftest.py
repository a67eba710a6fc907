"""Small sweeps of `tools/reproduce.py`."""

import sys

import pytest
from reproduce_process import TOOLS, Reproduce

# The tools are scripts: what they import lies beside them.
sys.path.insert(0, str(TOOLS))


@pytest.fixture(scope="session")
def reproduce(toy_root, tmp_path_factory) -> Reproduce:
    return Reproduce(toy_root, tmp_path_factory.mktemp("cache"))
