"""Metrics as JSON lines, and for TensorBoard if enabled."""

import math
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rdvar_jax.files.replacing import naming, write_text
from rdvar_jax.files.sealed import read_sealed_lines, sealed_line
from rdvar_jax.training.tensorboard import EventFile


class MetricsWriter:
    """Appends to a file of sealed JSON lines, each with "kind" and "step".

    Args:
        path: the file. Lines past `step` are left from a run killed after its last checkpoint;
          they are dropped, since these steps are repeated; damaged lines too, with a warning. None
          writes nothing, for all processes but the main one.
        step: completed steps.
        tensorboard: folder for TensorBoard's event files, or None.

    Raises:
        ConfigError: `tensorboard` is given and tensorboardX is not installed.
    """

    def __init__(self, path: Path | None, step: int, tensorboard: Path | None = None):
        self._file = self._tensorboard = None
        if path is None:
            return
        kept = [text for text, line in read_sealed_lines(path) if line["step"] <= step]
        write_text(path, "".join(kept))
        self._tensorboard = EventFile(tensorboard, step) if tensorboard else None
        self._file = path.open("a")

    def write(self, kind: str, step: int, values: dict[str, Any]) -> None:
        """Writes and flushes one line; numbers that are not finite become null, as in JSON."""
        if self._file is None:
            return
        values = {name: _json_value(value) for name, value in values.items()}
        with naming(Path(self._file.name)):
            self._file.write(sealed_line({"kind": kind, "step": step, **values}))
            self._file.flush()
        if self._tensorboard is not None:
            scalars = {
                f"{kind}/{name}": value
                for name, value in values.items()
                if isinstance(value, int | float)
            }
            self._tensorboard.add(scalars, step)

    def sync(self) -> None:
        """Syncs the lines to disk, before a checkpoint that they lead to is saved."""
        if self._file is not None:
            with naming(Path(self._file.name)):
                os.fsync(self._file.fileno())

    def close(self) -> None:
        with ExitStack() as both:
            if self._tensorboard is not None:
                both.callback(self._tensorboard.close)
            if self._file is not None:
                # Closing writes what a full disk has refused once more.
                with naming(Path(self._file.name)):
                    self._file.close()

    def __enter__(self) -> "MetricsWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _json_value(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Reads the intact lines of the file; none if it is missing."""
    return [line for _, line in read_sealed_lines(path)]
