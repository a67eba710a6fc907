"""A server in this process, on a free port of the loopback address, and a client of it."""

import http.client
import io
import json
import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rdvar_jax.server.http.app import Routes, make_app
from rdvar_jax.server.http.bodies import Bodies
from rdvar_jax.server.http.http_server import HttpServer, take_port
from rdvar_jax.server.http.operator_page import OperatorPage
from rdvar_jax.server.judging.part import Part
from rdvar_jax.server.judging.station import Station
from rdvar_jax.server.judging.watcher import Watcher
from rdvar_jax.server.listeners.drift_watch import DriftWatch
from rdvar_jax.server.listeners.feedback import Feedback
from rdvar_jax.server.listeners.metrics import Metrics
from rdvar_jax.server.listeners.recent import Recent

BOUNDARY = "limit-of-the-parts"


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def sentence(self) -> str:
        """Of a refusal, which has nothing else."""
        (key,) = self.json
        assert key == "error"
        return self.json[key]


@dataclass(frozen=True)
class Running:
    """A server and what it consists of."""

    port: int
    station: Station
    recent: Recent
    metrics: Metrics
    server: HttpServer

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Sends one request; `_` in the name of a header is `-`."""
        connection = self.connect()
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, found, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        return self.send("GET", path, **headers)

    def predict(self, content: bytes, query: str = "", **headers: str) -> Reply:
        headers = {"Content_Type": "image/png", **headers}
        return self.send("POST", f"/predict{query}", content, **headers)

    def infer(self, request: dict[str, Any], name: str = "part") -> Reply:
        return self.send("POST", f"/v2/models/{name}/infer", json.dumps(request))


@contextmanager
def running(
    parts: dict[str, Part],
    *,
    tokens: tuple[str, ...] = (),
    bodies: Bodies | None = None,
    listeners=(),
    more=lambda routes, station: (),
    watch: tuple[Path, Collection[str]] | None = None,
    **station_options: Any,
) -> Iterator[Running]:
    """Starts a server and drains it at the end.

    `more` makes routes of others; `watch` is a folder and its names that are done.
    """
    recent, metrics = Recent(parts), Metrics(parts.values())
    station = Station(parts, listeners=[recent, metrics, *listeners], **station_options)
    metrics.watch(station.queue)
    routes = Routes(station, recent, metrics, bodies or Bodies())
    watcher = None if watch is None else Watcher(station, *watch, interval=0.02)
    with take_port("127.0.0.1", 0) as taken:
        others = more(routes, station)
        app = make_app(routes, tokens=tokens, more=others, watcher=watcher)
        server = HttpServer(app, taken)
        server.start()
        try:
            yield Running(server.address[1], station, recent, metrics, server)
        finally:
            server.stop()
            station.close()
            logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)


@contextmanager
def running_with_page(parts: dict[str, Part], feedback: Path | None) -> Iterator[Running]:
    """Starts a server with the operator's page."""
    drift = DriftWatch(parts.values())
    keeper = None if feedback is None else Feedback(feedback)

    def page(routes, station):
        return OperatorPage(routes, station, drift, keeper).all()

    with running(parts, listeners=[drift], more=page) as found:
        yield found


def png(pixels: np.ndarray) -> bytes:
    """A PNG of uint8 [H, W, 3]."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def form(*files: tuple[str, bytes]) -> tuple[bytes, str]:
    """Body and content type of a form with files, by name."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: image/png\r\n\r\n".encode()
        + content
        + b"\r\n"
        for name, content in files
    ]
    body = b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])
    return body, f"multipart/form-data; boundary={BOUNDARY}"
