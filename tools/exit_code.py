"""Exit codes of the tools, as those of `rdvar`."""

import sys
from collections.abc import Callable

from rdvar_jax.cli.start import start_logging
from rdvar_jax.errors import UserError


def exit_code(program: str, command: Callable[[list[str]], int | None], argv: list[str]) -> int:
    """Runs a command and returns its code, or 2 with one sentence for a user-fixable error."""
    start_logging()
    try:
        return command(argv) or 0
    except UserError as error:
        print("\n".join(f"{program}: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return 2
