"""Verdicts on their way to a receiver that is away, slow, or confirms out of order."""

import threading
from dataclasses import replace

import pytest

from rdvar_jax.server.judging.verdict import Verdict
from rdvar_jax.server.receivers import outbox as module
from rdvar_jax.server.receivers.outbox import InMemory, Outbox

ONE = Verdict(
    1, "2026-01-02T03:04:05.678Z", "part", "a.png", "", 8, 8, 0.5, 1.0, "good", 0, [], 0.01
)


def verdict(id):
    return replace(ONE, id=id)


def test_verdicts_leave_in_their_order():
    box = Outbox()
    for id in (1, 2, 3):
        box(verdict(id))
    assert [box.next(0).id for _ in range(3)] == [1, 2, 3]
    assert box.next(0.01) is None
    assert box.wait_until_delivered(0.01).startswith("3 verdicts were not confirmed")
    for id in (1, 2, 3):
        box.delivered(id)
    assert box.wait_until_delivered(0) == ""


class Noted(InMemory):
    """Keeps how far the receiver is."""

    confirmed = 0

    def delivered(self, id):
        assert id > self.confirmed
        self.confirmed = id


def test_confirmed_is_what_has_no_gap_before_it():
    waiting = Noted()
    box = Outbox(waiting)
    for id in (1, 2, 3):
        box(verdict(id))
        box.next(0)
    box.delivered(2)
    assert waiting.confirmed == 0  # 1 may be lost
    box.delivered(1)
    assert waiting.confirmed == 2
    assert box.wait_until_delivered(0) == "1 verdict was not confirmed: lost"


def test_the_end_waits_for_confirmations():
    box = Outbox()
    box(verdict(1))
    box.next(0)
    threading.Timer(0.1, box.delivered, [1]).start()
    assert box.wait_until_delivered(10) == ""


def test_memory_is_bounded_and_the_loss_is_said(monkeypatch, caplog):
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    box = Outbox()
    for id in range(1, 6):
        box(verdict(id))
    assert [box.next(0).id for _ in range(3)] == [3, 4, 5]
    assert "the oldest are given up" in caplog.text


@pytest.mark.parametrize("waiting", [0, 1])
def test_next_waits_for_a_verdict(waiting):
    box = Outbox()
    threading.Timer(0.05 * waiting, box, [verdict(7)]).start()
    assert box.next(10).id == 7
