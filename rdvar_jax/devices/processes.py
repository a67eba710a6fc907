"""Several processes that train together: joining, agreeing, and leaving when one is lost.

JAX watches over the processes: each sends heartbeats to process 0. When they stop, or process 0
does, JAX aborts every process from C++, and Python has no say in it. All that is left to do is to
catch the abort's signal, say in one sentence what it means, and choose the exit code.
"""

import ctypes
import hashlib
import logging
import os
import re
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from rdvar_jax.errors import ConfigError

EXIT_LOST = 3

# How long a process that is done waits for the others to be done.
SHUTDOWN_SECONDS = 60

# Leaving ends the others, if process 0 leaves first: time for them to say what they found.
LINGER_SECONDS = 3

logger = logging.getLogger("rdvar_jax")

_on_abort: Callable | None = None  # ctypes keeps no reference of its own


@contextmanager
def membership(
    report: Callable[[BaseException], int],
    *,
    coordinator: str,
    num_processes: int,
    process_id: int,
    auto: bool,
    lost_after_seconds: int,
    connect_seconds: int,
) -> Iterator[None]:
    """Joins the other processes for the time of a `with` block. For one process it does nothing.

    Enter before anything asks JAX for devices. An error inside ends this process at once, without
    the usual way out, on which it would wait for the others.

    Args:
        report: says what an error means and gives the exit code, or raises it again.
        coordinator: host:port on which process 0 listens.
        num_processes: of the job.
        process_id: of this one, from 0.
        auto: take these three from the cluster's environment instead.
        lost_after_seconds: silence after which a process counts as lost.
        connect_seconds: time for all processes to arrive.

    Raises:
        ConfigError: a setting cannot be used, the cluster is not recognised, or process 0 cannot
            listen.
    """
    problems = _find_problems(
        coordinator, num_processes, process_id, auto, lost_after_seconds, connect_seconds
    )
    if problems:
        raise ConfigError("\n".join(problems))
    if num_processes == 1 and not auto:
        yield
        return
    given = {
        "coordinator_address": coordinator,
        "num_processes": num_processes,
        "process_id": process_id,
        # Else Slurm's environment would choose one device for each process here too.
        "cluster_detection_method": "deactivate",
    }
    _join({} if auto else given, lost_after_seconds, connect_seconds)
    try:
        yield
    except BaseException as error:
        _leave(error, report, lost_after_seconds)


def is_main_process() -> bool:
    """Whether this is process 0, which writes the files and speaks for all."""
    return jax.process_index() == 0


def barrier(name: str) -> None:
    """Returns when every process has called it with this name."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def all_devices() -> list[Any]:
    """The devices of all processes, those of each together and in the order of the processes.

    Raises:
        ConfigError: some processes have more devices than others.
    """
    if jax.process_count() == 1:
        return jax.local_devices()
    numbers = Counter(device.process_index for device in jax.devices())
    if len(set(numbers.values())) > 1:
        each = ", ".join(f"process {index}: {numbers[index]}" for index in sorted(numbers))
        raise ConfigError(
            f"All processes need the same number of devices ({each}); choose those that each of "
            "them sees (CUDA_VISIBLE_DEVICES)."
        )
    return sorted(jax.devices(), key=lambda device: (device.process_index, device.id))


def check_agreement(what: str, value: str) -> None:
    """Raises a ConfigError, in every process, where not all have the same value.

    Args:
        what: named in the error.
        value: compared by its hash.
    """
    if jax.process_count() == 1:
        return
    digest = np.frombuffer(hashlib.sha256(value.encode()).digest(), np.uint8)
    digests = np.asarray(multihost_utils.process_allgather(digest))
    others = [str(i) for i, other in enumerate(digests) if (other != digests[0]).any()]
    if others:
        raise ConfigError(
            f"process {', '.join(others)} has other {what} than process 0; give all processes the "
            "same command but for distributed.process_id, and the same files."
        )


def _find_problems(
    coordinator: str,
    num_processes: int,
    process_id: int,
    auto: bool,
    lost_after_seconds: int,
    connect_seconds: int,
) -> list[str]:
    problems = [
        f"distributed.{name}={value} must be at least {least}."
        for name, value, least in (
            ("num_processes", num_processes, 1),
            ("lost_after_seconds", lost_after_seconds, 1),
            ("connect_seconds", connect_seconds, 1),
        )
        if value < least
    ]
    if auto:
        if coordinator or num_processes != 1 or process_id != -1:
            problems.append(
                "distributed.auto=True takes coordinator, num_processes and process_id from the "
                "cluster; leave them out, or auto."
            )
        return problems
    if num_processes < 2 and process_id < 1:
        return problems  # one process, in a job file for any number of them
    if not re.fullmatch(r"(\S+):\d{1,5}", coordinator):
        problems.append(
            f"distributed.coordinator={coordinator or '(missing)'} must be HOST:PORT, the address "
            "of process 0 that all processes can reach."
        )
    if not 0 <= process_id < num_processes:
        problems.append(
            f"distributed.process_id={process_id} must be one of 0 to {num_processes - 1} for "
            f"distributed.num_processes={num_processes}, another for each process."
        )
    return problems


def _join(given: dict, lost_after_seconds: int, connect_seconds: int) -> None:
    # It would take SIGTERM for itself, from C++; training/stop.py agrees on a stop by other means.
    jax.config.update("jax_enable_preemption_service", False)
    where = given.get("coordinator_address", "the address that the cluster gives")
    _say_on_abort(
        f"rdvar: not all processes met at {where} within {connect_seconds} s; start as many as "
        "distributed.num_processes says, each with an id of its own, where that can be reached.",
        EXIT_LOST,
    )
    try:
        jax.distributed.initialize(
            **given,
            initialization_timeout=connect_seconds,
            heartbeat_timeout_seconds=lost_after_seconds,
            shutdown_timeout_seconds=max(lost_after_seconds, SHUTDOWN_SECONDS),
        )
    except Exception as error:  # of many kinds, some from the cluster's own tools
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        mend = (
            "distributed.auto=True knows Slurm, Open MPI 4 and, with the package `kubernetes`, a "
            "Kubernetes job; elsewhere give distributed.coordinator, num_processes and process_id"
            if not given
            else f"process 0 listens on distributed.coordinator={where}, which needs a free port"
        )
        raise ConfigError(f"the processes cannot be joined ({reason}); {mend}.") from error
    index, count = jax.process_index(), jax.process_count()
    _say_on_abort(
        f"rdvar: JAX has ended process {index} of {count}, because it lost another process of the "
        "job (its message above says which); the same command, on all processes, goes on from the "
        "last checkpoint.",
        EXIT_LOST,
    )
    if index > 0:
        logger.setLevel(logging.WARNING)
        for handler in logger.handlers:
            handler.setFormatter(logging.Formatter(f"process {index}: %(message)s"))
    logger.info("%d processes, %d devices", count, jax.device_count())


def _say_on_abort(sentence: str, exit_code: int) -> None:
    """What SIGABRT does from now on. Not by `signal`: abort() does not wait for the main thread."""
    global _on_abort

    def on_abort(_: int) -> None:
        os.write(2, f"{sentence}\n".encode())
        os._exit(exit_code)

    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(on_abort)
    set_handler = ctypes.CDLL(None).signal
    set_handler.argtypes = (ctypes.c_int, ctypes.c_void_p)
    set_handler.restype = ctypes.c_void_p
    set_handler(signal.SIGABRT, ctypes.cast(handler, ctypes.c_void_p))
    _on_abort = handler


def _leave(
    error: BaseException, report: Callable[[BaseException], int], lost_after_seconds: int
) -> None:
    """Says what happened and ends the process, without waiting for the others."""
    if isinstance(error, jax.errors.JaxRuntimeError):
        # On CPU the collective fails as soon as the connection does. JAX knows later whether a
        # process was lost, and then aborts, which says so.
        reason = (str(error).splitlines() or [""])[0]
        logger.warning("a step failed (%s); waiting to learn whether a process was lost", reason)
        time.sleep(lost_after_seconds + LINGER_SECONDS)
    try:
        code = report(error)
    except BaseException:
        traceback.print_exc()
        code = 1
    if is_main_process():
        time.sleep(LINGER_SECONDS)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
