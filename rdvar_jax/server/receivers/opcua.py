"""An OPC UA server with the last verdicts and counters: `rdvar serve --opcua opc.tcp://host:port`.

Objects/rdvar/PART has variables, all read-only; see `_VARIABLES`. Objects/rdvar/State is 0 while
the server runs and 1 while it drains.
"""

import asyncio
import json
import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.server.server import Server

from rdvar_jax.errors import ConfigError, one_line
from rdvar_jax.report.prediction_files import DEFECTIVE, GOOD
from rdvar_jax.server.judging.examined import Pictures
from rdvar_jax.server.judging.verdict import Verdict

NAMESPACE = "urn:rdvar-jax:verdicts"
RUNNING, DRAINING = 0, 1
UNKNOWN = ""  # without a threshold there is no verdict

_logger = logging.getLogger("rdvar_jax")

Double, Text, Number = ua.VariantType.Double, ua.VariantType.String, ua.VariantType.Int64
# Name, type and first value.
_VARIABLES: Sequence[tuple[str, ua.VariantType, Any]] = (
    ("Id", Number, 0),
    ("Time", Text, ""),
    ("Image", Text, ""),
    ("Score", Double, 0.0),
    ("Threshold", Double, float("nan")),
    ("Verdict", Text, UNKNOWN),
    ("Regions", Number, 0),
    ("NumGood", Number, 0),
    ("NumDefective", Number, 0),
    ("NumUnknown", Number, 0),
    # All of one verdict at once, as in the answers over HTTP. The others change one by one.
    ("Json", Text, ""),
)
_COUNTERS = {GOOD: "NumGood", DEFECTIVE: "NumDefective", None: "NumUnknown"}


def check_address(text: str) -> str:
    """Returns an address such as opc.tcp://127.0.0.1:4840.

    Raises:
        ConfigError: it is none.
    """
    try:
        url = urlsplit(text)
        if url.scheme == "opc.tcp" and url.hostname and url.port:
            return text
    except ValueError:
        pass
    raise ConfigError(
        f"--opcua {one_line(text)} is not an address with a port; give opc.tcp://127.0.0.1:4840."
    )


class OpcUaServer:
    """Serves the last verdict of each part, in a thread with an event loop of its own.

    A listener of the ledger.

    Args:
        address: from `check_address`.
        parts: their names.
    """

    def __init__(self, address: str, parts: Sequence[str]):
        self._address, self._parts = address, parts
        self._counts = {part: dict.fromkeys(_COUNTERS.values(), 0) for part in parts}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="opcua", daemon=True)
        self._server = Server()
        self._nodes: dict[str, dict[str, Any]] = {}
        self._state: Any = None

    def start(self) -> None:
        """Opens the port.

        Raises:
            ConfigError: the port cannot be opened.
        """
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        except OSError as error:
            self._end_loop()
            raise ConfigError(
                f"--opcua {self._address} cannot be opened ({error.strerror or error}); give "
                "another port."
            ) from error

    def __call__(self, verdict: Verdict, pictures: Pictures | None = None) -> None:
        """Shows a verdict; returns at once."""
        counts = self._counts[verdict.part]
        counts[_COUNTERS[verdict.verdict]] += 1
        threshold = float("nan") if verdict.threshold is None else verdict.threshold
        values = {
            "Id": verdict.id,
            "Time": verdict.time,
            "Image": verdict.name,
            "Score": verdict.score,
            "Threshold": threshold,
            "Verdict": verdict.verdict or UNKNOWN,
            "Regions": verdict.num_regions or 0,
            **counts,
            "Json": json.dumps(verdict.as_json(), allow_nan=False),
        }
        shown = asyncio.run_coroutine_threadsafe(self._show(verdict.part, values), self._loop)
        shown.add_done_callback(_log_error)

    def drain(self) -> None:
        """Shows that no more images are taken."""
        write = self._state.write_value(ua.Variant(DRAINING, Number))
        asyncio.run_coroutine_threadsafe(write, self._loop).result()

    def close(self) -> None:
        """Closes the port."""
        asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result()
        self._end_loop()

    async def _start(self) -> None:
        server = self._server
        logging.getLogger("asyncua").setLevel(logging.ERROR)  # warns that all can read
        await server.init()
        server.set_endpoint(self._address)
        server.set_server_name("rdvar")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        index = await server.register_namespace(NAMESPACE)
        root = await server.nodes.objects.add_object(index, "rdvar")
        self._state = await root.add_variable(index, "State", ua.Variant(RUNNING, Number))
        for part in self._parts:
            folder = await root.add_object(index, part)
            self._nodes[part] = {
                name: await folder.add_variable(index, name, ua.Variant(value, kind))
                for name, kind, value in _VARIABLES
            }
        await server.start()
        _logger.info("the last verdicts are at %s", self._address)

    async def _show(self, part: str, values: Mapping[str, Any]) -> None:
        for name, kind, _ in _VARIABLES:
            await self._nodes[part][name].write_value(ua.Variant(values[name], kind))

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _log_error(shown: Future[None]) -> None:
    if error := shown.exception():
        _logger.error("a verdict cannot be shown by OPC UA", exc_info=error)
