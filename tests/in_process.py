"""Commands called in this process as if each had one of its own."""

import io
import logging
import os
import runpy
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import jax

from rdvar_jax.cli.main import main

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGABRT)
LOGGERS = ("rdvar_jax", "absl")


def call_rdvar(*args, **environment: str) -> subprocess.CompletedProcess:
    """Calls `rdvar` with the arguments as text, and gives what a process would have given.

    Whatever it changes for the whole process is undone. An exception that it does not turn into an
    exit code is the test's own. Keywords are added to its environment.
    """
    return _call(main, args, environment)


def _call(
    command: Callable[[list[str]], int], args: Sequence, environment: Mapping[str, str]
) -> subprocess.CompletedProcess:
    argv = [str(arg) for arg in args]
    stdout, stderr = io.StringIO(), io.StringIO()
    with _undone(environment), redirect_stdout(stdout), redirect_stderr(stderr):
        try:
            code = command(argv)
        except SystemExit as exit:
            code = exit.code
    return subprocess.CompletedProcess(argv, code or 0, stdout.getvalue(), stderr.getvalue())


def call_script(path: Path, *args) -> subprocess.CompletedProcess:
    """Calls a file as `python FILE ARGS` does; else as `call_rdvar`."""

    def script(argv: list[str]) -> int:
        before = sys.argv, sys.path[:]
        sys.argv, sys.path[:] = [str(path), *argv], [str(path.parent), *sys.path]
        try:
            runpy.run_path(str(path), run_name="__main__")
            return 0
        finally:
            sys.argv, sys.path[:] = before

    return _call(script, args, {})


@contextmanager
def _undone(environment: Mapping[str, str]) -> Iterator[None]:
    """Runs the block with more environment and logs of its own, and restores everything."""
    variables, folder = dict(os.environ), Path.cwd()
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    settings = dict(jax.config.values)
    loggers = [logging.getLogger(name) for name in LOGGERS]
    logs = [(log, log.handlers[:], log.level, log.propagate) for log in loggers]
    # The program's handler writes to the standard error of the moment when it is made.
    logging.getLogger("rdvar_jax").handlers.clear()
    cache = str(settings["jax_compilation_cache_dir"])
    # Set, GLIBC_TUNABLES keeps devices/malloc.py from changing how this process handles memory.
    os.environ.update(JAX_COMPILATION_CACHE_DIR=cache, GLIBC_TUNABLES="", **environment)
    try:
        with warnings.catch_warnings():
            # ml_collections reads config files with it.
            warnings.filterwarnings("ignore", r"the load_module\(\) method", DeprecationWarning)
            yield
    finally:
        os.environ.clear()
        os.environ.update(variables)
        os.chdir(folder)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for name, value in settings.items():
            if jax.config.values[name] != value:
                jax.config.update(name, value)
        for log, old, level, propagate in logs:
            log.handlers[:], log.propagate = old, propagate
            log.setLevel(level)
