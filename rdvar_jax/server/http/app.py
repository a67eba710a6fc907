"""Routes of the server."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from rdvar_jax.server.http.access import Access
from rdvar_jax.server.http.bodies import Bodies, read_uploads
from rdvar_jax.server.http.open_inference import LENGTH_HEADER, describe, read_request, write_answer
from rdvar_jax.server.http.refusal import Refusal, as_refusal, refused
from rdvar_jax.server.judging.examined import Pixels, printable_name
from rdvar_jax.server.judging.part import Part
from rdvar_jax.server.judging.station import Station
from rdvar_jax.server.judging.watcher import Watcher
from rdvar_jax.server.listeners.metrics import Metrics
from rdvar_jax.server.listeners.recent import Recent, RecentVerdict
from rdvar_jax.version import __version__

PNG, VERDICT_HEADER = "image/png", "Rdvar-Verdict"

Endpoint = Callable[[Request], Awaitable[Response]]


class Routes:
    """Endpoints over one station.

    Args:
        station: judges images.
        recent: remembers verdicts; one of the station's listeners.
        metrics: counts them; another one.
        bodies: reads what is sent.
    """

    def __init__(self, station: Station, recent: Recent, metrics: Metrics, bodies: Bodies):
        self._station, self._recent = station, recent
        self.metrics, self._bodies = metrics, bodies
        self._started = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

    def all(self) -> list[BaseRoute]:
        """Returns the routes."""
        model, verdict = "/v2/models/{name}", "/verdicts/{id:int}"
        return [
            self.route("/predict", self._predict, "POST"),
            self.route("/recent", self._recent_verdicts),
            self.route(f"{verdict}/plain.jpg", self._plain),
            self.route(f"{verdict}/heat.jpg", self._heat),
            self.route("/metrics", self._numbers),
            self.route("/v2", self._about),
            self.route("/v2/health/live", self._live),
            self.route("/v2/health/ready", self._ready),
            self.route(model, self._model),
            self.route(f"{model}/ready", self._model_ready),
            self.route(f"{model}/infer", self._infer, "POST"),
        ]

    def route(self, path: str, endpoint: Endpoint, method: str = "GET") -> Route:
        """Makes a route whose exceptions are answered with a sentence and counted."""

        async def answered(request: Request) -> Response:
            try:
                return await endpoint(request)
            except HTTPException:
                raise
            # Everything: a fault of the server is logged and answered too, and it stays alive.
            except Exception as error:
                refusal = as_refusal(error)
                self.metrics.refused(refusal.status)
                return refused(refusal)

        return Route(path, answered, methods=[method])

    async def refuse(self, request: Request, error: Exception) -> Response:
        """Answers requests that no route takes."""
        assert isinstance(error, HTTPException)
        sentence = {
            404: f"There is nothing at {request.url.path}.",
            405: f"{request.url.path} is not for {request.method}; use the method in Allow.",
        }.get(error.status_code, error.detail)
        self.metrics.refused(error.status_code)
        return refused(Refusal(error.status_code, sentence, dict(error.headers or {})))

    async def _predict(self, request: Request) -> Response:
        part = self._part_asked_for(request)
        as_picture = request.headers.get("accept", "").partition(",")[0].strip() == PNG
        with_overlay = as_picture or _is_on(request, "overlay")
        most = self._station.queue.size
        async with self._bodies.of(request) as body:
            uploads = read_uploads(request, body, most)
            if as_picture and len(uploads) > 1:
                raise Refusal(400, "Only one image can be answered as a picture; send one.")
            answers = await self._station.examine(part, uploads, overlay=with_overlay)
        if as_picture:
            (answer,) = answers
            about = json.dumps(answer.verdict.as_json(), separators=(",", ":"))
            return Response(answer.overlay, media_type=PNG, headers={VERDICT_HEADER: about})
        found = []
        for answer in answers:
            entries = answer.verdict.as_json()
            if answer.overlay is not None:
                entries["overlay"] = base64.b64encode(answer.overlay).decode()
            found.append(entries)
        return JSONResponse(found[0] if len(found) == 1 else {"verdicts": found})

    async def _infer(self, request: Request) -> Response:
        part = self._named_part(request)
        length, most = request.headers.get(LENGTH_HEADER), self._station.queue.size
        async with self._bodies.of(request) as body:
            asked = await self._station.beside(lambda: read_request(body, length, part, most))
            name = printable_name(asked.id or "infer")
            sent = [Pixels(f"{name}[{index}]", pixels) for index, pixels in enumerate(asked.images)]
            answers = await self._station.examine(part, sent)
        content, headers = await self._station.beside(lambda: write_answer(asked, part, answers))
        return Response(content, headers=headers)

    async def _recent_verdicts(self, request: Request) -> Response:
        text = request.query_params.get("after", "0")
        if not text.isdecimal() or len(text) > 18:
            raise Refusal(400, f"after={text[:50]!r} is not the id of a verdict.")
        part = request.query_params.get("part")
        if part is not None and part not in self._station.parts:
            raise self._unknown(part)
        parts = [one.about() for one in self._station.parts.values()]
        found = self._recent.since(int(text), part)
        return JSONResponse({**found, "parts": parts, "started": self._started})

    async def _plain(self, request: Request) -> Response:
        return await self._thumbnail(request, 0)

    async def _heat(self, request: Request) -> Response:
        return await self._thumbnail(request, 1)

    async def _thumbnail(self, request: Request, index: int) -> Response:
        found = self.remembered(request.path_params["id"])
        drawn = await self._station.beside(found.thumbnails)
        if drawn is None:
            raise Refusal(404, "The image of this verdict is not kept any more.")
        return Response(drawn[index], media_type="image/jpeg")

    def remembered(self, id: int) -> RecentVerdict:
        """Returns a verdict by its id.

        Raises:
            Refusal: it is not remembered.
        """
        found = self._recent.get(id)
        if found is None:
            raise Refusal(404, f"Verdict {id} is not among the last ones.")
        return found

    async def _numbers(self, request: Request) -> Response:
        return Response(self.metrics.text(), media_type=self.metrics.content_type)

    async def _about(self, request: Request) -> Response:
        return JSONResponse(
            {"name": "rdvar", "version": __version__, "extensions": ["binary_tensor_data"]}
        )

    async def _live(self, request: Request) -> Response:
        return JSONResponse({"live": True})

    async def _ready(self, request: Request) -> Response:
        return _readiness({"ready": self._station.is_open})

    async def _model(self, request: Request) -> Response:
        return JSONResponse(describe(self._named_part(request)))

    async def _model_ready(self, request: Request) -> Response:
        part = self._named_part(request)
        return _readiness({"name": part.name, "ready": self._station.is_open})

    def _named_part(self, request: Request) -> Part:
        name = request.path_params["name"]
        part = self._station.parts.get(name)
        if part is None:
            raise self._unknown(name)
        return part

    def _part_asked_for(self, request: Request) -> Part:
        name, parts = request.query_params.get("part"), self._station.parts
        if name is None and len(parts) == 1:
            (part,) = parts.values()
            return part
        if name is None:
            raise Refusal(404, f"Several parts are served; add ?part= with {self._names()}.")
        if name not in parts:
            raise self._unknown(name)
        return parts[name]

    def _unknown(self, name: str) -> Refusal:
        return Refusal(404, f"There is no part {name[:100]!r}; there is {self._names()}.")

    def _names(self) -> str:
        return " or ".join(self._station.parts)


def make_app(
    routes: Routes,
    *,
    tokens: tuple[str, ...] = (),
    host: str = "127.0.0.1",
    more: Iterable[BaseRoute] = (),
    watcher: Watcher | None = None,
) -> Starlette:
    """Makes the ASGI application.

    Args:
        routes: of the station.
        tokens, host: see `Access`.
        more: routes beside them, made with `Routes.route`.
        watcher: runs from the opening of the port until all requests are answered.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        task = None if watcher is None else asyncio.create_task(watcher.run())
        yield
        if watcher is not None and task is not None:
            watcher.stop()
            await task

    return Starlette(
        routes=[*routes.all(), *more],
        middleware=[Middleware(Access, tokens=tokens, host=host, count=routes.metrics.refused)],
        exception_handlers={HTTPException: routes.refuse},
        lifespan=lifespan,
    )


def _is_on(request: Request, name: str) -> bool:
    value: Any = request.query_params.get(name, "0")
    if value not in ("0", "1"):
        raise Refusal(400, f"{name} must be 0 or 1.")
    return value == "1"


def _readiness(about: dict[str, Any]) -> Response:
    return JSONResponse(about, 200 if about["ready"] else 503)
