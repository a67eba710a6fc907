"""Suggestion for a misspelt name."""

from collections.abc import Iterable


def did_you_mean(word: str, names: Iterable[str], otherwise: str) -> str:
    """Ends a sentence about an unknown name with the closest of `names`, or with `otherwise`."""
    import difflib

    close = difflib.get_close_matches(word, list(names), n=1)
    return f"did you mean {close[0]}?" if close else f"{otherwise}."
