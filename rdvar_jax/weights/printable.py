"""Names that come out of a file, made fit for an error sentence.

A damaged or hostile file may hold names of any length with control characters in them, and a
message must stay one readable line.
"""

from collections.abc import Iterable

_LONGEST = 100
_MOST = 3


def printable(name: object) -> str:
    """One name on one line: control and non-ASCII characters escaped, at most 100 characters."""
    text = ascii(str(name)[: _LONGEST + 1])[1:-1]
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def printable_list(names: Iterable[object]) -> str:
    """The first three names and how many more there are: `a, b, c and 4 more`."""
    names = list(names)
    text = ", ".join(printable(name) for name in names[:_MOST])
    return text if len(names) <= _MOST else f"{text} and {len(names) - _MOST} more"
