"""Other machines that are told of verdicts, each with the packages of its own extra."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rdvar_jax.server.judging.ledger import Listener
from rdvar_jax.server.receivers.delivery import InLog
from rdvar_jax.server.receivers.outbox import Outbox

if TYPE_CHECKING:
    from rdvar_jax.server.receivers.mqtt import Address
    from rdvar_jax.server.receivers.opcua import OpcUaServer


@dataclass
class Receivers:
    """A broker and an OPC UA server, where they are wanted.

    Attributes:
        mqtt: the broker, or None.
        opcua: the address to open, or None.
        listeners: of the ledger, once they are started.
    """

    mqtt: "Address | None" = None
    opcua: str | None = None
    listeners: list[Listener] = field(default_factory=list)
    _opcua_server: "OpcUaServer | None" = None

    @classmethod
    def of(cls, mqtt: str | None, opcua: str | None) -> "Receivers":
        """Reads the addresses.

        Raises:
            ConfigError: one of them is none.
            ModuleNotFoundError: an extra is not installed.
        """
        found = cls()
        if mqtt is not None:
            from rdvar_jax.server.receivers.mqtt import Address

            found.mqtt = Address.parse(mqtt)
        if opcua is not None:
            from rdvar_jax.server.receivers.opcua import check_address

            found.opcua = check_address(opcua)
        return found

    @contextmanager
    def started(self, log: Path | None, parts: list[str]) -> Iterator[None]:
        """Starts them; after the block, what is left is sent and they end.

        Args:
            log: an open log that keeps what the broker has not confirmed; None for memory alone.
            parts: names of the parts.

        Raises:
            ConfigError: the port of OPC UA cannot be opened.
        """
        with ExitStack() as stack:
            if self.mqtt is not None:
                self.listeners.append(_publishing(self.mqtt, log, stack))
            if self.opcua is not None:
                from rdvar_jax.server.receivers.opcua import OpcUaServer

                self._opcua_server = server = OpcUaServer(self.opcua, parts)
                server.start()
                stack.callback(server.close)
                self.listeners.append(server)
            yield

    def drain(self) -> None:
        """Says that no more images are taken."""
        if self._opcua_server is not None:
            self._opcua_server.drain()


def _publishing(address: "Address", log: Path | None, stack: ExitStack) -> Outbox:
    from rdvar_jax.server.receivers.mqtt import Publisher

    waiting = None
    if log is not None:
        waiting = InLog(log, f"mqtt {address}")
        stack.callback(waiting.close)
    outbox = Outbox(waiting)
    publisher = Publisher(address, outbox)
    publisher.start()
    stack.callback(publisher.close)
    return outbox
