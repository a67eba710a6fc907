"""Folder of one run: request, result and attempts."""

import fcntl
import json
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rdvar_jax.files.replacing import write_json
from rdvar_jax.runs.config import Config, config_from_json


@dataclass(frozen=True)
class RunFolder:
    """Paths and files of one run; the folder's name is its address."""

    folder: Path

    @property
    def request(self) -> Path:
        """Config and identity; written before the run starts."""
        return self.folder / "run.json"

    @property
    def result(self) -> Path:
        """The same for the same request, whenever and however often stopped it was made."""
        return self.folder / "result.json"

    @property
    def timing(self) -> Path:
        return self.folder / "timing.json"

    @property
    def examples(self) -> Path:
        """Some test images with masks and anomaly maps, for Fig. 3."""
        return self.folder / "examples.npz"

    @property
    def failure(self) -> Path:
        return self.folder / "failure.json"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def attempts(self) -> Path:
        return self.folder / "attempts.jsonl"

    @property
    def workdir(self) -> Path:
        return self.folder / "workdir"

    @property
    def is_finished(self) -> bool:
        # Written last, and atomically.
        return self.result.exists()

    def ask(self, identity: dict[str, Any], config: Config) -> None:
        """Creates the folder and writes the request."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.request, {"identity": identity, "config": json.loads(config.to_json())})

    def read_request(self) -> tuple[dict[str, Any], Config]:
        """Identity and config."""
        request = json.loads(self.request.read_text())
        return request["identity"], config_from_json(json.dumps(request["config"]))

    def fail(self, message: str) -> None:
        """Records why the run ended without a result."""
        write_json(self.failure, {"message": message})

    def read_failure(self) -> str | None:
        """Reads why the last attempt failed; None if it did not."""
        return json.loads(self.failure.read_text())["message"] if self.failure.exists() else None

    def note(self, event: str, **facts: Any) -> None:
        """Appends a line to the list of attempts."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        line = {"time": now, "host": socket.gethostname(), "event": event, **facts}
        with self.attempts.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def read_attempts(self) -> list[dict[str, Any]]:
        """Reads the lines of `note`."""
        if not self.attempts.exists():
            return []
        return [json.loads(line) for line in self.attempts.read_text().splitlines()]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Waits until no other process is at this run: one of a killed sweep may still be saving.

        The lock goes with the process that holds it, however it ends.
        """
        with (self.folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def clear(self) -> None:
        """Removes what only an unfinished run needs: states, which can be gigabytes, and teacher.

        Raises:
            OSError: the disk refuses.
        """
        for name in ("checkpoints", "checkpoints_damaged"):
            if (self.workdir / name).exists():
                shutil.rmtree(self.workdir / name)
        (self.workdir / "teacher.safetensors").unlink(missing_ok=True)
