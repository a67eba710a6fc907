"""Verdicts by MQTT, through a real Mosquitto that is killed and comes back."""

import socket
import time
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from threading import Thread
from types import SimpleNamespace

import pytest
from mosquitto import SECONDS, Receiver
from running import running
from test_outbox import ONE

from rdvar_jax.errors import ConfigError
from rdvar_jax.server.receivers.mqtt import IN_FLIGHT, Address, Publisher
from rdvar_jax.server.receivers.outbox import Outbox


@contextmanager
def publishing(port):
    outbox = Outbox()
    publisher = Publisher(Address.parse(f"mqtt://127.0.0.1:{port}/line/1"), outbox)
    publisher.start()
    try:
        yield outbox
    finally:
        publisher.close(SECONDS)


def test_each_verdict_is_published_as_it_is_answered(broker, parts, files):
    receiver = Receiver(broker.port)
    with publishing(broker.port) as outbox, running(parts, listeners=[outbox]) as served:
        answers = [served.predict(file).json for file in files]
        receiver.wait(lambda: len(receiver.verdicts()) == len(files))
    receiver.wait(lambda: ("line/1/status", b"offline") in receiver.said)
    receiver.close()
    assert receiver.verdicts() == answers
    assert ("line/1/status", b"online") in receiver.said


def test_a_broker_that_is_killed_and_comes_back_gets_what_it_missed(broker, parts, files):
    with publishing(broker.port) as outbox, running(parts, listeners=[outbox]) as served:
        receiver = Receiver(broker.port)
        answers = [served.predict(file).json for file in files]
        receiver.wait(lambda: len(receiver.verdicts()) == len(files))
        broker.kill()
        before = list(receiver.verdicts())
        receiver.close()
        answers += [served.predict(file).json for file in files]  # nobody waits for the broker
        broker.start()
        receiver = Receiver(broker.port)  # there before the publisher's next attempt, 1 s later
        answers += [served.predict(file).json for file in files]
        receiver.wait(lambda: len(receiver.verdicts()) >= 2 * len(files))
    receiver.close()
    ids = [one["id"] for one in before + receiver.verdicts()]
    # Nothing is lost or changed. Twice comes only what was on its way when the broker was killed;
    # all of the first round had been confirmed or received by then.
    assert sorted(set(ids)) == [one["id"] for one in answers]
    found = {one["id"]: one for one in before + receiver.verdicts()}
    assert list(found.values()) == answers
    twice = [id for id in set(ids) if ids.count(id) > 1]
    assert set(twice) <= {one["id"] for one in before}


@pytest.mark.parametrize("is_early", [True, False])
def test_a_confirmation_never_waits_for_the_thread_that_publishes(is_early, monkeypatch):
    """The client confirms under a lock that its `publish` takes too, so waiting would never end."""
    outbox = Outbox()
    publisher = Publisher(Address.parse("mqtt://127.0.0.1/line/1"), outbox)
    numbers, later = count(1), []

    def publish(*_, **__):
        number = next(numbers)
        confirm = Thread(target=publisher._confirmed, args=(None, None, number, None, None))
        if is_early:
            confirm.start()
            confirm.join(SECONDS)  # for ever, in the client
            assert not confirm.is_alive()
        else:
            later.append(confirm)
        return SimpleNamespace(mid=number)

    monkeypatch.setattr(publisher._client, "publish", publish)
    for id in range(1, 2 * IN_FLIGHT):
        outbox(replace(ONE, id=id))
    publisher._thread.start()
    deadline = time.monotonic() + SECONDS
    while outbox.wait_until_delivered(0.01):
        assert time.monotonic() < deadline
        while later:
            later.pop().start()
    publisher._ended.set()
    publisher._thread.join()
    assert not publisher._sent and not publisher._early


def test_a_broker_that_was_never_there_is_said_and_ends_nothing(parts, files, caplog):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # taken, but nobody answers
        port = free.getsockname()[1]
        outbox = Outbox()
        publisher = Publisher(Address.parse(f"mqtt://127.0.0.1:{port}/line/1"), outbox)
        publisher.start()
        with running(parts, listeners=[outbox]) as served:
            assert served.predict(files[0]).status == 200
        publisher.close(timeout=0.1)
    assert "1 verdict was not confirmed: lost" in caplog.text


@pytest.mark.parametrize(
    "text, expected",
    [
        ("mqtt://host/a", Address("host", 1883, "a", None, False)),
        ("mqtts://me@host:99/a/b%20c", Address("host", 99, "a/b c", "me", True)),
        ("mqtt://[::1]:1/x", Address("::1", 1, "x", None, False)),
    ],
)
def test_addresses(text, expected):
    assert Address.parse(text) == expected


@pytest.mark.parametrize(
    "text, words",
    [
        ("host/a", "give mqtt://host/topic"),
        ("http://host/a", "is not an address"),
        ("mqtt:///a", "is not an address"),
        ("mqtt://host", "names no topic"),
        ("mqtt://host/a/#", "or one with"),
        ("mqtt://host:port/a", "is not an address"),
        ("mqtt://me:secret@host/a", "RDVAR_MQTT_PASSWORD"),
    ],
)
def test_other_addresses_are_refused(text, words):
    with pytest.raises(ConfigError, match=words) as refused:
        Address.parse(text)
    assert "secret" not in str(refused.value)
