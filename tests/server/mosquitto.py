"""A real Mosquitto, and a program that receives from it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

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
