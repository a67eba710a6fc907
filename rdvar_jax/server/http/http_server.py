"""The port: taken before anything is loaded, opened when everything is ready."""

import asyncio
import errno
import logging
import socket
import threading

import uvicorn
from starlette.applications import Starlette

from rdvar_jax.errors import ConfigError, UserError

MAX_CONNECTIONS = 512  # more are answered with 503
KEEP_ALIVE_SECONDS = 30
DRAIN_SECONDS = 20  # until requests that are still not answered are given up
BACKLOG = 128

_logger = logging.getLogger("rdvar_jax")


def take_port(host: str, port: int) -> socket.socket:
    """Binds a port without listening, so that nobody can connect yet.

    Raises:
        ConfigError: the address or port cannot be used.
    """
    try:
        name = "127.0.0.1" if host == "localhost" else host
        family, kind, protocol, _, address = socket.getaddrinfo(
            name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # With the protocol named: asyncio sends answers without delay (TCP_NODELAY) only then.
        taken = socket.socket(family, kind, protocol)
    except (OSError, OverflowError, UnicodeError) as error:
        raise ConfigError(
            f"--host {host} --port {port} is not an address ({error}); give such as 127.0.0.1 or "
            "0.0.0.0."
        ) from error
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
    except OSError as error:
        taken.close()
        raise _cannot_listen(host, port, error) from error
    return taken


def _cannot_listen(host: str, port: int, error: OSError) -> UserError:
    if error.errno == errno.EADDRINUSE:
        return ConfigError(f"port {port} of {host} is in use by another program; give --port.")
    if error.errno == errno.EACCES:
        return ConfigError(f"port {port} is only for root; give a --port of 1024 or more.")
    return ConfigError(f"--host {host} cannot be listened on ({error.strerror}); give another one.")


class HttpServer:
    """Serves an application in a thread of its own.

    Args:
        app: what answers.
        taken: of `take_port`.
        drain_seconds: until requests that are not answered are given up at the end.
    """

    def __init__(self, app: Starlette, taken: socket.socket, drain_seconds: int = DRAIN_SECONDS):
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="error",
            access_log=False,  # addresses may hold tokens
            ws="none",
            lifespan="on",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=drain_seconds,
        )
        self._server, self._socket = uvicorn.Server(config), taken
        self.address = taken.getsockname()[:2]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def start(self) -> None:
        """Opens the port.

        Raises:
            ConfigError: another program opened it meanwhile.
        """
        host, port = self.address
        try:
            self._socket.listen(BACKLOG)
        except OSError as error:
            raise _cannot_listen(host, port, error) from error
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it answers, such as http://127.0.0.1:8000."""
        host, port = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def has_ended(self) -> bool:
        """Whether it serves no more."""
        return self._ended.is_set()

    def stop(self) -> None:
        """Closes the port, answers what was accepted, and ends the thread."""
        self._server.should_exit = True
        self._thread.join()

    def _run(self) -> None:
        try:
            self._server.run([self._socket])
        except (Exception, asyncio.CancelledError, SystemExit):
            _logger.exception("the server ended")
        finally:
            self._ended.set()
