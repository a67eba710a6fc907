"""Verdicts on their way to a receiver that is away, slow, or confirms out of order."""

import threading
from dataclasses import replace

import pytest

from rdvar_jax.server import outbox as module
from rdvar_jax.server.outbox import Outbox
from rdvar_jax.server.verdict import Verdict

ONE = Verdict(
    1, "2026-01-02T03:04:05.678Z", "part", "a.png", "", 8, 8, 0.5, 1.0, "good", 0, [], 0.01
)


def verdict(id):
    return replace(ONE, id=id)


class Kept:
    """A cursor over verdicts 1 to `last`."""

    def __init__(self, last, confirmed=0):
        self.last, self.confirmed = last, confirmed

    def undelivered(self, limit):
        return [verdict(id) for id in range(self.confirmed + 1, self.last + 1)][:limit]

    def deliver(self, id):
        assert id > self.confirmed
        self.confirmed = id


def test_verdicts_leave_in_their_order():
    box = Outbox()
    for id in (1, 2, 3):
        box(verdict(id))
    assert [box.next(0).id for _ in range(3)] == [1, 2, 3]
    assert box.next(0.01) is None
    assert box.wait_until_delivered(0.01) == 3
    for id in (1, 2, 3):
        box.delivered(id)
    assert box.wait_until_delivered(0) == 0


def test_the_cursor_follows_what_is_confirmed_without_a_gap():
    cursor = Kept(3)
    box = Outbox(cursor)
    assert [box.next(0).id for _ in range(3)] == [1, 2, 3]
    box.delivered(2)
    assert cursor.confirmed == 0  # 1 may be lost
    box.delivered(1)
    assert cursor.confirmed == 2
    again = Outbox(Kept(3, cursor.confirmed))
    assert again.next(0).id == 3


def test_the_end_waits_for_confirmations():
    box = Outbox()
    box(verdict(1))
    box.next(0)
    threading.Timer(0.1, box.delivered, [1]).start()
    assert box.wait_until_delivered(10) == 0


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
