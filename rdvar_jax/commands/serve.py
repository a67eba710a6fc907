"""`rdvar serve`: verdicts over HTTP, until stopped."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rdvar_jax.errors import ConfigError
from rdvar_jax.server.http.access import is_loopback, read_tokens
from rdvar_jax.server.http.app import Routes, make_app
from rdvar_jax.server.http.bodies import MAX_UPLOAD_MB, Bodies
from rdvar_jax.server.http.http_server import HttpServer, take_port
from rdvar_jax.server.http.operator_page import OperatorPage
from rdvar_jax.server.judging.ledger import Listener
from rdvar_jax.server.judging.part import load_parts
from rdvar_jax.server.judging.station import BATCH_SIZE, QUEUE_SIZE, WAIT_MS, Station
from rdvar_jax.server.judging.verdict_log import open_log
from rdvar_jax.server.judging.watcher import Watcher
from rdvar_jax.server.listeners.drift_watch import DriftWatch
from rdvar_jax.server.listeners.feedback import Feedback
from rdvar_jax.server.listeners.metrics import Metrics
from rdvar_jax.server.listeners.recent import Recent
from rdvar_jax.server.receivers.receivers import Receivers
from rdvar_jax.serving.judgement import Thresholds
from rdvar_jax.training.stop import StopRequest

logger = logging.getLogger("rdvar_jax")

LONGEST_SLEEP = 0.1  # seconds between two checks for a signal


@dataclass(frozen=True)
class Serving:
    """Settings of a server.

    Attributes:
        host, port: to listen on; port 0 takes a free one.
        token_file: tokens of those who may use it; needed unless only this computer can reach it.
        batch_size: images scored at once, at most.
        queue_size: images of a part from their arrival to their answer, at most.
        wait_ms: milliseconds that a batch waits for clients that were just answered, at most.
        max_upload_mb: size of a request's body, at most.
        threshold: replaces those of the bundles.
        log: file of SQLite that keeps each verdict before it is answered.
        watch: folder whose images are judged too.
        feedback: folder for images that are labelled on the page.
        mqtt, opcua: addresses of a broker with a topic, and of an OPC UA server to open.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token_file: Path | None = None
    batch_size: int = BATCH_SIZE
    queue_size: int = QUEUE_SIZE
    wait_ms: float = WAIT_MS
    max_upload_mb: float = MAX_UPLOAD_MB
    threshold: float | None = None
    log: Path | None = None
    watch: Path | None = None
    feedback: Path | None = None
    mqtt: str | None = None
    opcua: str | None = None

    def check(self) -> None:
        """Raises a ConfigError for a value that cannot be used."""
        for flag, value, least in (
            ("batch_size", self.batch_size, 1),
            ("queue", self.queue_size, 1),
            ("wait_ms", self.wait_ms, 0),
        ):
            if not value >= least:
                raise ConfigError(f"--{flag} {value} must be at least {least}.")
        if not self.wait_ms <= 1000:
            raise ConfigError(f"--wait_ms {self.wait_ms} must be at most 1000.")
        if not 0 < self.max_upload_mb <= 4096:
            raise ConfigError(f"--max_upload_mb {self.max_upload_mb} must be over 0, at most 4096.")
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"--port {self.port} must be from 0 to 65535.")
        if self.watch is not None and not self.watch.is_dir():
            raise ConfigError(
                f"--watch needs a folder, and {self.watch} is not one; give an existing one."
            )
        if self.token_file is None and not is_loopback(self.host):
            raise ConfigError(
                f"--host {self.host} lets other computers in; give --token_file FILE with a token "
                "that they must send, or listen on 127.0.0.1."
            )


def serve(
    bundles: Sequence[Path],
    serving: Serving,
    *,
    listeners: Sequence[Listener] = (),
    opened: Callable[[str], None] = lambda address: None,
) -> None:
    """Serves bundles until SIGINT or SIGTERM; what was accepted is answered before it returns.

    Args:
        bundles: files of `rdvar export`.
        serving: settings.
        listeners: called with each verdict, beside the server's own.
        opened: called with the address once the port is open.

    Raises:
        UserError: a bundle, a setting or the port cannot be used.
    """
    serving.check()
    tokens = () if serving.token_file is None else read_tokens(serving.token_file)
    with StopRequest() as stop, ExitStack() as stack:
        receivers = Receivers.of(serving.mqtt, serving.opcua)
        taken = stack.enter_context(take_port(serving.host, serving.port))
        log = None if serving.log is None else stack.enter_context(open_log(serving.log))
        parts = load_parts(bundles, serving.batch_size, Thresholds(serving.threshold))
        for part in parts.values():
            part.compile(serving.batch_size)
        recent, metrics = Recent(parts), Metrics(parts.values())
        drift = DriftWatch(parts.values())
        stack.enter_context(receivers.started(serving.log, list(parts)))
        station = Station(
            parts,
            batch_size=serving.batch_size,
            queue_size=serving.queue_size,
            wait_ms=serving.wait_ms,
            log=log,
            listeners=[recent, metrics, drift, *receivers.listeners, *listeners],
        )
        stack.callback(station.close)
        metrics.watch(station.queue)
        routes = Routes(station, recent, metrics, Bodies(serving.max_upload_mb))
        feedback = None if serving.feedback is None else Feedback(serving.feedback)
        page = OperatorPage(routes, station, drift, feedback)
        watcher = None
        if serving.watch is not None:
            done = set[str]() if log is None else log.watched(serving.watch)
            watcher = Watcher(station, serving.watch, done)
            logger.info("watching %s, %d images already judged", serving.watch, len(done))
        app = make_app(routes, tokens=tokens, host=serving.host, more=page.all(), watcher=watcher)
        server = HttpServer(app, taken)
        server.start()
        stack.callback(server.stop)
        opened(server.url)
        for part in parts.values():
            threshold = part.thresholds.image
            words = "no threshold, so no verdicts" if threshold is None else f"{threshold:.6g}"
            logger.info("part %s: threshold %s", part.name, words)
        while stop.signal_number is None and not server.has_ended:
            time.sleep(LONGEST_SLEEP)
        receivers.drain()
        if stop.signal_number is None:
            raise RuntimeError("the HTTP server ended by itself")
        logger.info("closing: %d requests are answered first", sum(map(station.queue.depth, parts)))
