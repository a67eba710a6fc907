"""Who may use the server: a token, the name it is called by, and no other site's pages."""

import hashlib
import hmac
import ipaddress
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rdvar_jax.errors import ConfigError
from rdvar_jax.server.http.refusal import Refusal, refused

SHORTEST_TOKEN = 16
COOKIE = "rdvar"
OPEN = ("/v2/health/live", "/v2/health/ready")  # without a token
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")

# The page is loaded by this one, not by a redirect: after a link of another site, a cookie that is
# "strict" would not be sent with a redirect.
_ENTRANCE = '<!doctype html><meta http-equiv="refresh" content="0; url={path}">'

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Whether only this computer can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_tokens(file: Path) -> tuple[str, ...]:
    """Reads tokens, one a line.

    Raises:
        ConfigError: there is none, or one could be guessed or not sent.
        OSError: the file cannot be read.
    """
    try:
        lines = file.read_text(encoding="utf-8").split()
    except UnicodeDecodeError:
        lines = [""]
    bad = [line for line in lines if len(line) < SHORTEST_TOKEN or not line.isascii()]
    if bad or not lines:
        raise ConfigError(
            f"--token_file {file} must hold one or more tokens, each on a line and of "
            f"{SHORTEST_TOKEN} or more ASCII letters, such as from: openssl rand -hex 32."
        )
    return tuple(lines)


class Access:
    """ASGI middleware that lets only some requests in.

    - On a loopback address the `Host` header must name this computer: a page of another site whose
      name was made to lead here has that site's.
    - Pages of other sites, which say so in `Origin`, may send nothing. No answer allows another
      site to read it.
    - With tokens, all but `OPEN` needs one: as `Authorization: Bearer TOKEN`, or in a browser once
      as `?token=TOKEN`, which sets a cookie for later requests.

    Args:
        app: what answers.
        tokens: none if all may use it.
        host: that it listens on.
        count: called with the status of each refusal.
    """

    def __init__(
        self,
        app: ASGIApp,
        tokens: tuple[str, ...] = (),
        host: str = "127.0.0.1",
        count: Callable[[int], None] = lambda status: None,
    ):
        self._app, self._count = app, count
        self._tokens = [_digest(token) for token in tokens]
        self._cookies = [_cookie_of(token) for token in tokens]
        self._own_names = {*LOOPBACK_NAMES, host} if is_loopback(host) else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or lets the app answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._check_origin(scope)
            cookie = self._check_token(scope)
        except Refusal as refusal:
            self._count(refusal.status)
            await refused(refusal)(scope, receive, send_with_headers)
            return
        if cookie is not None:
            answer = HTMLResponse(_ENTRANCE.format(path="/"))
            answer.set_cookie(COOKIE, cookie, httponly=True, samesite="strict")
            await answer(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _check_origin(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._own_names is not None and _hostname(f"//{host}") not in self._own_names:
            raise Refusal(
                421,
                "The server listens on this computer alone and is called by another name; use "
                "http://127.0.0.1 or http://localhost.",
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            raise Refusal(403, "Pages of other sites cannot use this server.")

    def _check_token(self, scope: Scope) -> str | None:
        """Returns the cookie to set, if the token came in the address."""
        if not self._tokens or scope["path"] in OPEN:
            return None
        connection = HTTPConnection(scope)
        scheme, _, bearer = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_known(bearer.strip()):
            return None
        cookie = connection.cookies.get(COOKIE, "")
        if any([hmac.compare_digest(cookie.encode(), known.encode()) for known in self._cookies]):
            return None
        (token,) = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[:1]
        if scope["method"] == "GET" and scope["path"] == "/" and self._is_known(token):
            return _cookie_of(token)
        raise Refusal(
            401,
            "A token is needed: send Authorization: Bearer TOKEN, or open /?token=TOKEN in a "
            "browser.",
            {"WWW-Authenticate": "Bearer"},
        )

    def _is_known(self, token: str) -> bool:
        # Digests, because the comparison takes as long for all texts of one length only; and all
        # of them, whichever fits.
        given = _digest(token)
        return any([hmac.compare_digest(given, known) for known in self._tokens])


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _cookie_of(token: str) -> str:
    """Returns a value that lets in as the token does, and from which it cannot be found out."""
    return hmac.new(token.encode(), b"rdvar serve", hashlib.sha256).hexdigest()


def _hostname(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
