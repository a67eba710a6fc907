"""A forked process gets an error at once where JAX would hang."""

import os

import jax
import numpy as np
import pytest

from rdvar_jax.devices import forked
from rdvar_jax.devices.compiler import compiled
from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.errors import UserError


@pytest.fixture
def in_fork(monkeypatch):
    """Makes this process look forked."""

    def fork() -> None:
        monkeypatch.setattr(forked, "_computes_in", os.getppid())

    return fork


def test_functions_compiled_before_a_fork_are_not_called_after_it(in_fork):
    double = compiled(lambda x: x * 2, platform="cpu")
    assert double(np.float32(2)) == 4
    assert double._cache_size() == 1  # an attribute of JAX's own function
    in_fork()
    with pytest.raises(UserError, match=r"forked.*get_context\(\"spawn\"\).*docs/serving.md"):
        double(np.float32(2))


def test_nothing_is_compiled_after_a_fork(in_fork):
    parallel = Parallel("pmap", tuple(jax.local_devices()[:1]))
    in_fork()
    with pytest.raises(UserError, match="forked"):
        parallel.wrap(lambda x: x + 1, split=(True,), split_output=True)


def test_the_first_use_may_be_in_a_forked_process(monkeypatch):
    monkeypatch.setattr(forked, "_computes_in", None)
    forked.refuse_in_fork()
    forked.refuse_in_fork()
    assert forked._computes_in == os.getpid()
