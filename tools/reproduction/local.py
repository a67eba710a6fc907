"""The local executor: runs one after the other, or one on each GPU."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread

from rdvar_jax.errors import UserError
from reproduction.process import run_process

_COUNT = "import jax; print(jax.default_backend(), jax.local_device_count())"


def find_slots() -> list[dict[str, str]]:
    """Finds the environment of each process that may run at the same time.

    JAX is queried in a separate process, because this one must not hold the GPUs.

    Raises:
        UserError: JAX does not start.
    """
    done = subprocess.run([sys.executable, "-c", _COUNT], capture_output=True, text=True)
    if done.returncode != 0:
        raise UserError(f"JAX does not start here: {done.stderr.strip().splitlines()[-1]}")
    backend, number = done.stdout.split()
    if backend == "cpu":
        return [{}]  # a run takes all cores by itself
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(index) for index in range(int(number))]
    return [{"CUDA_VISIBLE_DEVICES": name} for name in names]


def run_local(
    folders: Sequence[Path],
    keep_checkpoints: bool,
    slots: Sequence[dict[str, str]],
    ended: Callable[[Path], None],
) -> None:
    """Runs all folders; Ctrl-C lets the runs in progress save their states first.

    Args:
        folders: of runs that were asked for, in this order.
        keep_checkpoints: whether finished runs keep their states.
        slots: from `find_slots`.
        ended: called after each run, from several threads.
    """
    stop, waiting = Event(), SimpleQueue[Path]()
    for folder in folders:
        waiting.put(folder)

    def work(environment: dict[str, str]) -> None:
        while not stop.is_set():
            try:
                folder = waiting.get_nowait()
            except Empty:
                return
            run_process(folder, keep_checkpoints, environment, stop)
            ended(folder)

    threads = [Thread(target=work, args=(slot,)) for slot in slots]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
