"""How a command ends that could not do its work."""

import signal
import sys

from absl import flags

from rdvar_jax.errors import UserError


def report_error(error: BaseException) -> int:
    """Says in one sentence what a user can mend and gives the exit code; raises anything else."""
    if isinstance(error, KeyboardInterrupt):
        # Training lets it come this far only the second time.
        print("rdvar: stopped at once by Ctrl-C; what was there before is whole", file=sys.stderr)
        return 128 + signal.SIGINT
    if isinstance(error, UserError | flags.Error):
        lines = str(error).splitlines()
    elif isinstance(error, OSError) and error.filename is not None:
        lines = [f"{error.filename}: {error.strerror}"]
    else:
        raise error
    print("\n".join(f"rdvar: {line}" for line in lines), file=sys.stderr)
    return 2
