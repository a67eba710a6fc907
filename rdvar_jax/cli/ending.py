"""Exit code and message of a command that failed or was stopped."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rdvar_jax.cli.extras import missing_package
from rdvar_jax.errors import UserError, one_line
from rdvar_jax.files.exhausted import exhausted


class Terminated(KeyboardInterrupt):
    """SIGTERM: as Ctrl-C, so that commands clean up after both alike."""


@contextmanager
def terminable() -> Iterator[None]:
    """Raises `Terminated` in the block on SIGTERM, unless that has a handler already."""

    def terminate(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # cleaning up is not interrupted
        raise Terminated

    try:
        usual = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        if usual:
            signal.signal(signal.SIGTERM, terminate)
    except ValueError:  # not in the main thread
        usual = False
    try:
        yield
    finally:
        if usual:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def report_error(error: BaseException) -> int:
    """Prints a user-fixable error and returns the exit code; raises anything else."""
    if isinstance(error, Terminated):
        print("rdvar: stopped by SIGTERM; files saved before are intact", file=sys.stderr)
        return 128 + signal.SIGTERM
    if isinstance(error, KeyboardInterrupt):
        # In training, only a second Ctrl-C gets this far.
        print("rdvar: stopped by Ctrl-C; files saved before are intact", file=sys.stderr)
        return 128 + signal.SIGINT
    if isinstance(error, BrokenPipeError):
        _drop_output()  # as in `rdvar settings | head`
        return 128 + signal.SIGPIPE
    if limit := exhausted(error):
        # Also where it is the cause of a UserError: the advice is the same for every file.
        lines = [limit.sentence]
        _drop_output()
    elif isinstance(error, UserError):
        lines = str(error).split("\n")
    elif isinstance(error, OSError) and error.filename is not None:
        lines = [f"{error.filename}: {error.strerror}"]
    elif isinstance(error, ModuleNotFoundError) and (sentence := missing_package(error)):
        lines = [sentence]
    else:
        raise error
    with suppress(OSError):  # standard error may be a file on the full disk
        print("\n".join(f"rdvar: {one_line(line)}" for line in lines), file=sys.stderr)
    return 2


def _drop_output() -> None:
    """Drops what standard output no longer takes; Python would complain again when it closes it."""
    try:
        sys.stdout.flush()
    except OSError:
        sys.stdout = open(os.devnull, "w")
