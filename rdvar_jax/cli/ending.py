"""Exit code and message of a command that failed."""

import os
import signal
import sys
from contextlib import suppress

from rdvar_jax.cli.extras import missing_package
from rdvar_jax.errors import UserError
from rdvar_jax.exhausted import exhausted


def report_error(error: BaseException) -> int:
    """Prints a user-fixable error and returns the exit code; raises anything else."""
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
        lines = str(error).splitlines()
    elif isinstance(error, OSError) and error.filename is not None:
        lines = [f"{error.filename}: {error.strerror}"]
    elif isinstance(error, ModuleNotFoundError) and (sentence := missing_package(error)):
        lines = [sentence]
    else:
        raise error
    with suppress(OSError):  # standard error may be a file on the full disk
        print("\n".join(f"rdvar: {line}" for line in lines), file=sys.stderr)
    return 2


def _drop_output() -> None:
    """Drops what standard output no longer takes; Python would complain again when it closes it."""
    try:
        sys.stdout.flush()
    except OSError:
        sys.stdout = open(os.devnull, "w")
