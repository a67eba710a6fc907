"""Parity is in float32 proper, also on devices that would multiply matrices in less."""

import jax
import pytest


@pytest.fixture(autouse=True)
def highest_precision():
    with jax.default_matmul_precision("highest"):
        yield
