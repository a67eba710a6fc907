"""Multi-process training: joining, agreeing, and exiting when a process is lost.

Each process sends heartbeats to process 0. When they stop, or process 0 does, JAX aborts every
process from C++, bypassing Python. What remains is to catch the abort's signal, explain it in one
sentence, and set the exit code.
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

from rdvar_jax.errors import ConfigError, OneLineFormatter

EXIT_LOST = 3

MOST_PROCESSES = 100_000
MOST_SECONDS = 1_000_000

# How long a process that has finished waits for the others.
SHUTDOWN_SECONDS = 60

# Delay before process 0 exits, which ends the others: time for them to report their errors.
LINGER_SECONDS = 3

logger = logging.getLogger("rdvar_jax")

_on_abort: Callable | None = None  # ctypes does not keep a reference


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
    """Joins the other processes for a `with` block. For one process it does nothing.

    Enter before JAX is asked for devices. An error inside ends this process at once, without the
    normal shutdown, which would wait for the others.

    Args:
        report: reports an error and returns the exit code, or raises it again.
        coordinator: host:port on which process 0 listens.
        num_processes: of the job.
        process_id: of this process, from 0.
        auto: take these three from the cluster's environment instead.
        lost_after_seconds: time without a heartbeat after which a process counts as lost.
        connect_seconds: timeout for all processes to join.

    Raises:
        ConfigError: a setting cannot be used, the cluster is not recognised, or process 0 cannot
            listen.
    """
    problems = _find_problems(
        coordinator, num_processes, process_id, auto, lost_after_seconds, connect_seconds
    )
    if problems:
        raise ConfigError(*problems)
    if num_processes == 1 and not auto:
        yield
        return
    given = {
        "coordinator_address": coordinator,
        "num_processes": num_processes,
        "process_id": process_id,
        # Otherwise Slurm's environment would choose one device per process here too.
        "cluster_detection_method": "deactivate",
    }
    _join({} if auto else given, lost_after_seconds, connect_seconds)
    try:
        yield
    except BaseException as error:
        _leave(error, report, lost_after_seconds)


def is_main_process() -> bool:
    """Returns whether this is process 0, which writes the files and logs for all."""
    return jax.process_index() == 0


def barrier(name: str) -> None:
    """Waits until every process has called it with this name."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def all_devices() -> list[Any]:
    """Returns the devices of all processes, grouped in the order of the processes.

    Raises:
        ConfigError: some processes have more devices than others.
    """
    if jax.process_count() == 1:
        return jax.local_devices()
    numbers = Counter(device.process_index for device in jax.devices())
    if len(set(numbers.values())) > 1:
        each = ", ".join(f"process {index}: {numbers[index]}" for index in sorted(numbers))
        raise ConfigError(
            f"All processes need the same number of devices ({each}); set those that each one sees "
            "with CUDA_VISIBLE_DEVICES."
        )
    return sorted(jax.devices(), key=lambda device: (device.process_index, device.id))


def check_agreement(what: str, value: str) -> None:
    """Raises a ConfigError, in every process, if their values differ.

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
            f"process {', '.join(others)} has other {what} than process 0; run the same command "
            "with the same files in all processes, except for distributed.process_id."
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
        f"distributed.{name}={value} must be at least 1 and at most {most}."
        for name, value, most in (
            ("num_processes", num_processes, MOST_PROCESSES),
            ("lost_after_seconds", lost_after_seconds, MOST_SECONDS),
            ("connect_seconds", connect_seconds, MOST_SECONDS),
        )
        if not 1 <= value <= most
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
            f"distributed.num_processes={num_processes}, different for each process."
        )
    return problems


def _join(given: dict, lost_after_seconds: int, connect_seconds: int) -> None:
    # It would handle SIGTERM from C++; training/stop.py agrees on a stop by other means.
    jax.config.update("jax_enable_preemption_service", False)
    where = given.get("coordinator_address", "the cluster's address")
    _handle_abort(
        f"rdvar: not all processes joined at {where} within {connect_seconds} s; start "
        "distributed.num_processes of them, each with its own id, where it can be reached.",
        EXIT_LOST,
    )
    try:
        jax.distributed.initialize(
            **given,
            initialization_timeout=connect_seconds,
            heartbeat_timeout_seconds=lost_after_seconds,
            shutdown_timeout_seconds=max(lost_after_seconds, SHUTDOWN_SECONDS),
        )
    except Exception as error:  # of many types, some from the cluster's tools
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        remedy = (
            "distributed.auto=True supports Slurm, Open MPI 4 and, with the package `kubernetes`, "
            "Kubernetes jobs; elsewhere set distributed.coordinator, num_processes and process_id"
            if not given
            else f"process 0 listens on distributed.coordinator={where}, which needs a free port"
        )
        raise ConfigError(f"the processes cannot be joined ({reason}); {remedy}.") from error
    index, count = jax.process_index(), jax.process_count()
    _handle_abort(
        f"rdvar: JAX has ended process {index} of {count}, because it lost another process of the "
        "job (its message above says which); the same command, on all processes, resumes from the "
        "last checkpoint.",
        EXIT_LOST,
    )
    if index > 0:
        logger.setLevel(logging.WARNING)
        for handler in logger.handlers:
            handler.setFormatter(OneLineFormatter(f"process {index}: %(message)s"))
    logger.info("%d processes, %d devices", count, jax.device_count())


def _handle_abort(sentence: str, exit_code: int) -> None:
    """Handles SIGABRT from now on. Not by `signal`: abort() does not wait for the main thread."""
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
    """Reports an error and ends the process, without waiting for the others."""
    if isinstance(error, jax.errors.JaxRuntimeError):
        # On CPU the collective fails as soon as the connection does. If a process was lost, JAX
        # notices later and aborts, and the handler reports it.
        reason = (str(error).splitlines() or [""])[0]
        logger.warning("a step failed (%s); waiting to see whether a process was lost", reason)
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
