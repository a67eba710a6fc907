"""Exit codes of the tools: as those of `rdvar`."""

import sys
from collections.abc import Callable

from absl import flags

from rdvar_jax.errors import UserError
from rdvar_jax.main import start_logging


def exit_code(program: str, command: Callable[[list[str]], None], argv: list[str]) -> int:
    """Runs a command: 0, or 2 and one sentence on standard error for what a user can mend."""
    start_logging()
    try:
        command(argv)
    except (UserError, flags.Error) as error:
        print("\n".join(f"{program}: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return 2
    return 0
