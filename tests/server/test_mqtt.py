"""Verdicts by MQTT, through a real Mosquitto that is killed and comes back."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager

import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from running import running

from rdvar_jax.errors import ConfigError
from rdvar_jax.server.mqtt import Address, Publisher
from rdvar_jax.server.outbox import Outbox

SECONDS = 20  # until what was sent must have arrived


@pytest.fixture
def broker(tmp_path):
    program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("mosquitto is not installed (tests/README.md)")
    found = Broker(program, tmp_path)
    found.start()
    yield found
    found.kill()


class Broker:
    """A Mosquitto on a free port that keeps nothing on disk."""

    def __init__(self, program, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.config = folder / "mosquitto.conf"
        self.config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        self.program, self.process = program, None

    def start(self):
        command = [self.program, "-c", self.config]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError("Mosquitto does not start")

    def kill(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


class Receiver:
    """Another program that listens to all topics, and reconnects."""

    def __init__(self, port):
        self.said, self._changed = [], threading.Condition()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self.client.on_subscribe = lambda *_: self._take("", b"subscribed")
        self.client.on_message = lambda _, __, got: self._take(got.topic, got.payload)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.wait(lambda: ("", b"subscribed") in self.said)

    def _take(self, topic, content):
        with self._changed:
            self.said.append((topic, content))
            self._changed.notify_all()

    def verdicts(self):
        return [json.loads(content) for topic, content in self.said if topic == "line/1"]

    def wait(self, condition):
        with self._changed:
            assert self._changed.wait_for(condition, SECONDS), self.said[-3:]

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


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
