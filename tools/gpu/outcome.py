"""Results of rows, as plain dictionaries for the JSON file."""

import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Row = dict[str, Any]
"""{"row", ...}: with its measurements, or with "left_out" or "failed" and the reason."""


class LeftOut(Exception):
    """A row, or the rest of a branch, that cannot be measured here; the message is the reason."""


def attempt(name: str, measure: Callable[[], Row]) -> Row:
    """Measures one row; what goes wrong is its result, so that the others are measured too."""
    try:
        return {"row": name, **measure()}
    except LeftOut as reason:
        return {"row": name, "left_out": str(reason)}
    except SystemExit as error:  # a process of the row ended
        return {"row": name, "failed": str(error)}
    except Exception as error:
        last = traceback.format_exc().splitlines()[-4:]
        return {"row": name, "failed": f"{type(error).__name__}: {error}", "traceback": last}


def left_out(names: Iterable[str], reason: str) -> Iterator[Row]:
    """Rows that are left out for one reason."""
    for name in names:
        yield {"row": name, "left_out": reason}
