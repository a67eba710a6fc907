"""Exit code and message of a command that failed."""

import os
import signal
import sys

from rdvar_jax.cli.extras import missing_package
from rdvar_jax.errors import UserError


def report_error(error: BaseException) -> int:
    """Prints a user-fixable error and returns the exit code; raises anything else."""
    if isinstance(error, KeyboardInterrupt):
        # In training, only a second Ctrl-C gets this far.
        print("rdvar: stopped by Ctrl-C; files saved before are intact", file=sys.stderr)
        return 128 + signal.SIGINT
    if isinstance(error, BrokenPipeError):
        # As in `rdvar settings | head`. Python would complain again when it closes stdout.
        sys.stdout = open(os.devnull, "w")
        return 128 + signal.SIGPIPE
    if isinstance(error, UserError):
        lines = str(error).splitlines()
    elif isinstance(error, OSError) and error.filename is not None:
        lines = [f"{error.filename}: {error.strerror}"]
    elif isinstance(error, ModuleNotFoundError) and (sentence := missing_package(error)):
        lines = [sentence]
    else:
        raise error
    print("\n".join(f"rdvar: {line}" for line in lines), file=sys.stderr)
    return 2
