"""Escapes names from a file for error messages.

A damaged or hostile file may hold names of any length with control characters, and a message must
stay one readable line.
"""

from collections.abc import Iterable

_LONGEST = 100
_MOST = 3


def printable(name: object) -> str:
    """Escapes control and non-ASCII characters of a name, and cuts it to 100 characters."""
    text = ascii(str(name)[: _LONGEST + 1])[1:-1]
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def printable_list(names: Iterable[object]) -> str:
    """Joins the first three names and the number of others: `a, b, c and 4 more`."""
    names = list(names)
    text = ", ".join(printable(name) for name in names[:_MOST])
    return text if len(names) <= _MOST else f"{text} and {len(names) - _MOST} more"
