"""Fraction of an epoch spent waiting for data."""

import time

import pytest

from rdvar_jax.training.data_wait import DataWait


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_share_of_the_epoch(clock):
    wait = DataWait()
    assert wait.share() == 0
    for _ in range(3):
        with wait.waiting():
            clock[0] += 1
        clock[0] += 3
    assert wait.share() == pytest.approx(0.25)
    wait.start()
    clock[0] += 2
    assert wait.share() == 0
