"""Publishes verdicts by MQTT: `rdvar serve --mqtt mqtt://host/topic`.

Each verdict is published as JSON with quality of service 1: at least once. A broker that is away,
or killed and started again, gets what it missed; what it had taken without saying so comes twice,
with the same `id`.
"""

import json
import logging
import os
import ssl
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from rdvar_jax.errors import ConfigError, one_line
from rdvar_jax.server.receivers.outbox import Outbox

PASSWORD = "RDVAR_MQTT_PASSWORD"  # in the environment, since other users can read command lines
PORTS = {"mqtt": 1883, "mqtts": 8883}
AT_LEAST_ONCE = 1  # quality of service
IN_FLIGHT = 20  # messages that the broker has not confirmed, at most
LONGEST_WAIT = 0.5  # seconds between two looks for the end
SLOWEST_TRY = 30  # seconds between two attempts to connect

_logger = logging.getLogger("rdvar_jax")


@dataclass(frozen=True)
class Address:
    """A broker and a topic.

    Attributes:
        host, port: of the broker.
        topic: of the verdicts; "online" and "offline" are retained at `topic`/status.
        user: to log in with, or None.
        is_encrypted: whether to use TLS.
    """

    host: str
    port: int
    topic: str
    user: str | None
    is_encrypted: bool

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.topic}"

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Reads mqtt://[user@]host[:port]/topic, or mqtts:// for TLS.

        Raises:
            ConfigError: it is none, or has a password.
        """
        problem = None
        try:
            url = urlsplit(text)
            port = url.port
        except ValueError as error:
            raise ConfigError(f"--mqtt {one_line(text)} is not an address: {error}.") from error
        topic = unquote(url.path.removeprefix("/")) + "#" * ("#" in text)
        if url.scheme not in PORTS or not url.hostname or url.query:
            problem = "is not an address"
        elif url.password is not None:
            raise ConfigError(
                f"--mqtt has a password, which other users of this computer can read; put it into "
                f"the variable {PASSWORD} instead."
            )
        elif not topic or any(sign in topic for sign in "+#\0"):
            problem = "names no topic, or one with + or #"
        if problem:
            raise ConfigError(f"--mqtt {one_line(text)} {problem}; give mqtt://host/topic.")
        user = None if url.username is None else unquote(url.username)
        return cls(
            url.hostname or "", port or PORTS[url.scheme], topic, user, url.scheme[-1] == "s"
        )


class Publisher:
    """Publishes what comes into an outbox, in the order of ids, in threads of its own.

    Args:
        address: the broker and the topic.
        outbox: the verdicts.
    """

    def __init__(self, address: Address, outbox: Outbox):
        self._address, self._outbox = address, outbox
        self._ended, self._unconfirmed = threading.Event(), threading.Semaphore(IN_FLIGHT)
        # By the client's number of its message: the id of a verdict that is not yet confirmed; or
        # a confirmation that came before `publish` had returned the number.
        self._sent: dict[int, int] = {}
        self._early: set[int] = set()
        self._of_status: set[int] = set()  # numbers of "online", for the client's own thread alone
        self._lock = threading.Lock()  # of the first two
        self._client = client = mqtt.Client(CallbackAPIVersion.VERSION2)
        client.max_inflight_messages_set(IN_FLIGHT)
        client.reconnect_delay_set(1, SLOWEST_TRY)
        client.will_set(f"{address.topic}/status", "offline", AT_LEAST_ONCE, retain=True)
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
        client.on_publish = self._confirmed
        if address.user is not None:
            client.username_pw_set(address.user, os.environ.get(PASSWORD))
        if address.is_encrypted:
            client.tls_set_context(ssl.create_default_context())
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    def start(self) -> None:
        """Connects, now or once the broker is there, and begins to publish."""
        self._client.connect_async(self._address.host, self._address.port)
        self._client.loop_start()
        self._thread.start()

    def close(self, timeout: float = 5.0) -> None:
        """Ends after what is in the outbox was confirmed, or after `timeout` seconds."""
        rest = self._outbox.wait_until_delivered(timeout)
        self._ended.set()
        self._thread.join()
        if rest:
            _logger.warning("%s: %s", self._address, rest)
        self._client.publish(f"{self._address.topic}/status", "offline", AT_LEAST_ONCE, retain=True)
        self._client.disconnect()
        self._client.loop_stop()

    def _run(self) -> None:
        while not self._ended.is_set():
            verdict = self._outbox.next(LONGEST_WAIT)
            if verdict is None:
                continue
            while not self._unconfirmed.acquire(timeout=LONGEST_WAIT):
                if self._ended.is_set():
                    return
            content = json.dumps(verdict.as_json(), allow_nan=False)
            # Not under the lock: the client calls `_confirmed` under a lock that its `publish`
            # takes too, so the two threads could wait for each other for ever.
            number = self._client.publish(self._address.topic, content, AT_LEAST_ONCE).mid
            with self._lock:
                is_confirmed = number in self._early
                if is_confirmed:
                    self._early.remove(number)
                else:
                    self._sent[number] = verdict.id
            if is_confirmed:
                self._delivered(verdict.id)

    def _connected(self, client: mqtt.Client, _: Any, __: Any, reason: Any, ___: Any) -> None:
        if reason.is_failure:
            _logger.warning("%s refuses the connection: %s", self._address, reason)
            return
        _logger.info("verdicts go to %s", self._address)
        status = f"{self._address.topic}/status"
        self._of_status.add(client.publish(status, "online", AT_LEAST_ONCE, retain=True).mid)

    def _disconnected(self, client: mqtt.Client, _: Any, __: Any, reason: Any, ___: Any) -> None:
        if reason.value != MQTTErrorCode.MQTT_ERR_SUCCESS and not self._ended.is_set():
            _logger.warning(
                "the connection to %s is lost (%s); verdicts wait until it is back",
                *(self._address, reason),
            )

    def _confirmed(self, client: mqtt.Client, _: Any, number: int, __: Any, ___: Any) -> None:
        if number in self._of_status:
            self._of_status.remove(number)
            return
        with self._lock:
            id = self._sent.pop(number, None)
            if id is None:
                self._early.add(number)
        if id is not None:
            self._delivered(id)

    def _delivered(self, id: int) -> None:
        self._outbox.delivered(id)
        self._unconfirmed.release()
