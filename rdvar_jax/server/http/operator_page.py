"""The operator's page: its files, and what it asks for beside the verdicts."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from rdvar_jax.data.sets.feedback import LABELS
from rdvar_jax.report import page as report_page
from rdvar_jax.server.http.app import PNG, Routes
from rdvar_jax.server.http.refusal import Refusal
from rdvar_jax.server.judging.station import Station
from rdvar_jax.server.listeners.drift_watch import DriftWatch
from rdvar_jax.server.listeners.feedback import Feedback

_PAGE = Path(__file__).with_name("page")
_STYLE = Path(report_page.__file__).with_name("style.css")  # that of all pages
_FILES: Mapping[str, tuple[Path, str]] = {
    "/": (_PAGE / "index.html", "text/html"),
    "/page/style.css": (_STYLE, "text/css"),
    "/page/page.css": (_PAGE / "page.css", "text/css"),
    "/page/page.js": (_PAGE / "page.js", "text/javascript"),
}
# Nothing from elsewhere, and no script but the page's own.
_POLICY = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data:; script-src 'self'; "
    "style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_LONGEST_BODY = 1000  # bytes of a label in JSON


class OperatorPage:
    """Routes of the page.

    Args:
        routes: those of the station, whose refusals and pictures it shares.
        station: draws pictures beside the event loop.
        drift: compares scores with those of the threshold.
        feedback: keeps what people say of verdicts; None to keep nothing.
    """

    def __init__(
        self, routes: Routes, station: Station, drift: DriftWatch, feedback: Feedback | None
    ):
        self._routes, self._station = routes, station
        self._drift, self._feedback = drift, feedback

    def all(self) -> list[BaseRoute]:
        """Returns the routes."""
        route, verdict = self._routes.route, "/verdicts/{id:int}"
        return [
            *(route(path, self._file) for path in _FILES),
            route(f"{verdict}/overlay.png", self._overlay),
            route(f"{verdict}/feedback", self._label, "POST"),
            route("/feedback", self._labels),
            route("/drift", self._drifts),
        ]

    async def _file(self, request: Request) -> Response:
        path, media_type = _FILES[request.url.path]
        headers = {"Content-Security-Policy": _POLICY}
        return Response(path.read_bytes(), media_type=media_type, headers=headers)

    async def _overlay(self, request: Request) -> Response:
        found = self._routes.remembered(request.path_params["id"])
        pictures = found.pictures
        if pictures is None:
            raise Refusal(404, "The image of this verdict is not kept any more.")
        drawn = await self._station.beside(lambda: pictures.overlay(found.verdict))
        return Response(drawn, media_type=PNG)

    async def _labels(self, request: Request) -> Response:
        labels = {} if self._feedback is None else self._feedback.labels()
        return JSONResponse({"kept": self._feedback is not None, "labels": labels})

    async def _label(self, request: Request) -> Response:
        feedback = self._feedback
        if feedback is None:
            raise Refusal(404, "Labels are not kept; start rdvar serve with --feedback FOLDER.")
        found = self._routes.remembered(request.path_params["id"])
        label = _read_label(await _short_body(request))
        if label is not None and found.pictures is None:
            raise Refusal(404, "The image of this verdict is not kept any more.")
        await self._station.beside(lambda: feedback.keep(found, label))
        return JSONResponse({"id": found.verdict.id, "label": label})

    async def _drifts(self, request: Request) -> Response:
        found = await self._station.beside(self._drift.now)
        return JSONResponse({"parts": found})


async def _short_body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_BODY:
            raise Refusal(413, f"A label is at most {_LONGEST_BODY} bytes long.")
    return body


def _read_label(body: bytes) -> str | None:
    way_out = f'send {{"label": "{LABELS[0]}"}}, "{LABELS[1]}" or null'
    try:
        content: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, f"The label is not JSON; {way_out}.") from None
    if isinstance(content, dict) and "label" in content and content["label"] in (*LABELS, None):
        return content["label"]
    raise Refusal(400, f"There is no such label; {way_out}.")
