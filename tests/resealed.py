"""Edits of sealed files with a seal that fits again, without this project's code."""

import hashlib
import json
from pathlib import Path
from typing import Any


def seal_again(path: Path, **entries: Any) -> None:
    """Replaces entries of a sealed JSON file."""
    values = {**json.loads(path.read_text()), **entries}
    values.pop("sha256", None)
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    values["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(values))


def unsealed(path: Path) -> dict[str, Any]:
    """The entries of a sealed JSON file but for those of the seal."""
    values = json.loads(path.read_text())
    return {name: entry for name, entry in values.items() if name not in ("format", "sha256")}
