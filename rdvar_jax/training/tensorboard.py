"""TensorBoard's event files, written in the thread that calls.

tensorboardX's own SummaryWriter writes in a thread, where a full disk ends as a traceback.
"""

import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rdvar_jax.errors import ConfigError
from rdvar_jax.files.replacing import make_folder, naming

FLUSH_SECONDS = 10.0  # a flush syncs to disk, too slow for every step


class EventFile:
    """A new event file in a folder.

    Args:
        folder: created if missing.
        step: completed steps; TensorBoard hides later ones of older files, which are repeated.

    Raises:
        ConfigError: tensorboardX is not installed.
        OSError: the file cannot be written.
    """

    def __init__(self, folder: Path, step: int):
        try:
            from tensorboardX import record_writer, summary
            from tensorboardX.proto import event_pb2
        except ImportError as error:
            raise ConfigError(
                "logging.tensorboard=True needs tensorboardX; install rdvar-jax[tensorboard] or "
                "set logging.tensorboard=False."
            ) from error
        self._path = folder / f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}"
        self._scalar = summary.scalar
        self._events: Any = event_pb2  # its names are made when it is imported
        self._flushed = time.monotonic()
        make_folder(folder)
        with naming(self._path):
            self._records = record_writer.RecordWriter(str(self._path))
            try:
                self._write(0, file_version="brain.Event:2")
                start = self._events.SessionLog(status=self._events.SessionLog.START)
                self._write(step + 1, session_log=start)
                self._records.flush()
            except BaseException:
                self._records.close()
                raise

    def add(self, scalars: Mapping[str, float], step: int) -> None:
        """Writes scalars; raises an OSError with the file's name."""
        with naming(self._path):
            for name, value in scalars.items():
                self._write(step, summary=self._scalar(name, value))
            if time.monotonic() - self._flushed > FLUSH_SECONDS:
                self._records.flush()
                self._flushed = time.monotonic()

    def close(self) -> None:
        with naming(self._path):
            self._records.close()

    def _write(self, step: int, **content: Any) -> None:
        event = self._events.Event(wall_time=time.time(), step=step, **content)
        self._records.write(event.SerializeToString())
