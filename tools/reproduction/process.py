"""Starts the process of one run and waits for it."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Event

from reproduction.run_folder import RunFolder

TOOLS = Path(__file__).resolve().parents[1]


def run_process(
    folder: Path, keep_checkpoints: bool, environment: Mapping[str, str], stop: Event
) -> None:
    """Runs one folder in a separate process, so that nothing it does can end the sweep.

    Args:
        folder: of a run that was asked for.
        keep_checkpoints: whether a finished run keeps its states.
        environment: added to that of this process.
        stop: when set, the run is told to save and end.
    """
    run = RunFolder(folder)
    command = [sys.executable, "-m", "reproduction.one_run", str(folder)]
    with run.log.open("ab") as log:
        process = subprocess.Popen(
            [*command, *(["--keep_checkpoints"] if keep_checkpoints else [])],
            # Ours to close: Ctrl-C reaches this process alone, and it then ends its runs in order.
            start_new_session=True,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": python_path(), **environment},
        )
    assert process.stdin is not None
    with process.stdin:
        while process.poll() is None and not stop.wait(0.1):
            pass
    code = process.wait()
    if not run.is_finished and run.read_failure() is None and not stop.is_set():
        run.fail(f"its process ended with {ending(code)}; see {run.log}")


def ending(code: int) -> str:
    """Describes an exit code."""
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"{name}, which the system sends where memory runs out" if code == -9 else name


def python_path() -> str:
    """Environment in which a run's process finds `reproduction`."""
    own = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(TOOLS), *([own] if own else [])])
