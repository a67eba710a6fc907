"""`rdvar`: its commands, help and exit codes."""

import sys
import textwrap
from collections.abc import Sequence

from rdvar_jax.cli import (
    evaluate,
    export,
    inspect,
    predict,
    prepare,
    report,
    serve,
    setting_list,
    threshold,
    train,
    weights,
)
from rdvar_jax.cli.completion import SHELLS, completion_script
from rdvar_jax.cli.ending import report_error, terminable
from rdvar_jax.cli.parser import Parser
from rdvar_jax.cli.settings import take_settings
from rdvar_jax.cli.start import start_logging
from rdvar_jax.cli.suggest import did_you_mean
from rdvar_jax.errors import ConfigError
from rdvar_jax.version import __version__

COMMANDS = {
    "inspect": inspect,
    "train": train,
    "evaluate": evaluate,
    "threshold": threshold,
    "predict": predict,
    "report": report,
    "export": export,
    "serve": serve,
    "prepare": prepare,
    "weights": weights,
    "settings": setting_list,
}

DESCRIPTION = f"""rdvar {__version__}: find defects with reverse distillation and the variance loss.

rdvar COMMAND --help shows a command's flags, with examples.
"""

EXIT_CODES = """exit codes:
  0        done
  1        rdvar predict --fail_on_defect found a defective image
  2        an error that you can fix; one sentence says how
  3        another process of the job was lost or did not connect
  128 + n  stopped by signal n
"""

SETTINGS_HELP = """settings:
  --config.SECTION.NAME=VALUE, repeatable; the last one counts. Most used here:
{useful}
  rdvar settings lists all of them with their defaults and meanings.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code.

    Args:
        argv: arguments after the program's name; by default those of the process.
    """
    try:
        with terminable():
            code = _run(list(sys.argv[1:] if argv is None else argv))
            sys.stdout.flush()  # here, where a closed pipe still has an answer
            return code
    except (Exception, KeyboardInterrupt) as error:
        return report_error(error)


def build_parsers() -> tuple[Parser, dict[str, Parser]]:
    """Builds the parser of `rdvar` and those of its commands."""
    parser = Parser(prog="rdvar", description=DESCRIPTION, epilog=EXIT_CODES)
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--print_completion",
        choices=SHELLS,
        help="print the completion script of a shell (default: none)",
    )
    group = parser.add_subparsers(title="commands", metavar="COMMAND")
    parsers = {}
    for name, command in COMMANDS.items():
        summary = command.DESCRIPTION.splitlines()[0]
        parsers[name] = group.add_parser(name, help=summary, description=command.DESCRIPTION)
        command.add_arguments(parsers[name])
        parsers[name].epilog = _epilog(command.EXAMPLES, parsers[name].useful_settings)
    shown = group.add_parser("help", help="Show the help of a command.")
    shown.add_argument("command", choices=list(parsers), nargs="?", metavar="COMMAND")
    return parser, parsers


def _epilog(examples: str, useful: tuple[str, ...] | None) -> str:
    text = f"examples:\n{textwrap.indent(examples, '  ')}"
    if useful is None:
        return text
    names = textwrap.fill(", ".join(useful), 90, initial_indent="    ", subsequent_indent="    ")
    return f"{text}\n{SETTINGS_HELP.format(useful=names)}"


def _run(words: list[str]) -> int:
    parser, parsers = build_parsers()
    if not words or words == ["help"]:
        parser.print_help()
        return 0 if words else 2
    if words[0] == "help":
        _find(words[1], parsers).print_help()
        return 0
    name, *words = words
    try:
        if name.startswith("-"):
            args, settings, command = parser.read([name, *words]), [], None
        else:
            command = _find(name, parsers)
            settings, words = take_settings(words)
            args = command.read(words)
    except SystemExit as ended:  # argparse has shown the help or the version
        return int(ended.code or 0)
    if command is None and args.print_completion is None:  # `rdvar --`
        parser.print_help()
        return 2
    if command is None:
        print(completion_script(parser, parsers.values(), args.print_completion))
        return 0
    if settings and command.useful_settings is None:
        raise ConfigError(f"{command.prog} takes no settings, such as --config.{settings[0].name}.")
    start_logging()
    return COMMANDS[name].run(args, settings)


def _find(name: str, parsers: dict[str, Parser]) -> Parser:
    if name not in parsers:
        raise ConfigError(
            f"unknown command {name!r}; {did_you_mean(name, parsers, 'see rdvar --help')}"
        )
    return parsers[name]
