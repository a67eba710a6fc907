"""`rdvar report` on the command line."""

import argparse
from collections.abc import Sequence

from rdvar_jax.cli.parser import Parser
from rdvar_jax.cli.settings import Setting, add_checkpoint, add_workdir
from rdvar_jax.errors import one_line

DESCRIPTION = """Write one HTML page of a run.

Shows what was found, missed and falsely alarmed, then metrics, curves, worst images, losses and
settings; needs no network and no other file. A run that was not evaluated has a page of its
training and threshold, which says how to test it.
"""

EXAMPLES = """\
rdvar report --workdir W
rdvar report --workdir W --output part_17.html
"""


def add_arguments(parser: Parser) -> None:
    """Adds the command's flags."""
    add_workdir(parser)
    add_checkpoint(parser)
    parser.add_path(
        "--output",
        metavar="FILE",
        help="the file to write (default: report.html in the run's folder)",
    )


def run(args: argparse.Namespace, settings: Sequence[Setting]) -> int:
    """Runs the command and returns the exit code."""
    from rdvar_jax.commands.report import write_report
    from rdvar_jax.runs.workdir import Workdir

    written = write_report(Workdir(args.workdir.resolve()), args.checkpoint, args.output)
    print(one_line(f"report: {written}"))
    return 0
