"""Status and sentence of a request that cannot be answered."""

import logging

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from rdvar_jax.errors import DataError, one_line
from rdvar_jax.files.exhausted import exhausted
from rdvar_jax.server.judging.ledger import LogError
from rdvar_jax.server.judging.scoring_queue import Closed, QueueFull

RETRY_SECONDS = 1  # after which a full queue has room again
CLOSING_SECONDS = 10  # after which a server that was restarted is back

_logger = logging.getLogger("rdvar_jax")


class Refusal(Exception):
    """A request that cannot be answered.

    Args:
        status: of HTTP, 400 or higher.
        sentence: says why, and the way out.
        headers: of the answer.
    """

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None):
        super().__init__(one_line(sentence))
        self.status, self.headers = status, headers or {}


def as_refusal(error: Exception) -> Refusal:
    """Returns how a request is answered that raised an exception; logs what is not its fault."""
    match error:
        case Refusal():
            return error
        case QueueFull():
            return Refusal(503, f"{error}.", {"Retry-After": str(RETRY_SECONDS)})
        case Closed():
            return Refusal(503, f"{error}.", {"Retry-After": str(CLOSING_SECONDS)})
        case ClientDisconnect():
            return Refusal(400, "The request ended before its body was complete; send it again.")
        case LogError():
            _logger.error("%s", error)
            return Refusal(507 if error.is_full else 500, str(error))
    if limit := exhausted(error):
        _logger.error("%s", limit.sentence)
        return Refusal(503, limit.sentence, {"Retry-After": str(CLOSING_SECONDS)})
    if isinstance(error, DataError):
        return Refusal(400, str(error))
    _logger.error("a request failed", exc_info=error)
    return Refusal(500, "The server failed on this request; its own log says why.")


def refused(refusal: Refusal) -> JSONResponse:
    """Makes the answer."""
    return JSONResponse({"error": str(refusal)}, refusal.status, refusal.headers)
