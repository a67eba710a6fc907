"""The command line: `rdvar COMMAND`."""

import sys

from rdvar_jax.extras import ending_where_packages_are_missing
from rdvar_jax.version import __version__

with ending_where_packages_are_missing():
    from rdvar_jax.command_line import (
        evaluate,
        export,
        inspect,
        predict,
        prepare,
        report,
        threshold,
        train,
    )
    from rdvar_jax.command_line.ending import report_error
    from rdvar_jax.command_line.start import start_logging

COMMANDS = {
    "inspect": inspect,
    "train": train,
    "evaluate": evaluate,
    "threshold": threshold,
    "predict": predict,
    "report": report,
    "export": export,
    "prepare": prepare,
}

HELP = f"""rdvar {__version__}: find defects with reverse distillation and the variance loss.
{"".join(command.HELP for command in COMMANDS.values())}
Several machines train together with the settings of the section distributed: docs/multihost.md.

Exit codes: 0 done; 1 rdvar predict --fail_on_defect found a defective image; 2 something to mend,
said in one sentence; 3 another process of the job was lost or did not come; 128 + n stopped by
signal n.
"""


def main(argv: list[str] | None = None) -> int:
    """Runs one command and gives the exit code.

    Args:
        argv: the arguments after the program's name; those of the process by default.
    """
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help", "help") or "--help" in argv:
        print(HELP, end="")
        return 0 if argv else 2
    if argv[0] == "--version":
        print(__version__)
        return 0
    if argv[0] not in COMMANDS:
        print(f"rdvar: unknown command {argv[0]!r}; see rdvar --help", file=sys.stderr)
        return 2
    start_logging()
    try:
        with ending_where_packages_are_missing():
            return COMMANDS[argv[0]].run(argv)
    except (Exception, KeyboardInterrupt) as error:
        return report_error(error)


if __name__ == "__main__":
    sys.exit(main())
