"""`rdvar inspect` on the command line."""

import argparse
from collections.abc import Sequence

from rdvar_jax.cli.parser import Parser
from rdvar_jax.cli.settings import Setting, add_config, read_config
from rdvar_jax.errors import DataError

DESCRIPTION = """Check a data set before training.

Reports on the images of data.root/CATEGORY: layout, counts, sizes, masks, duplicates, memory, and
all problems. The exit code is 2 if training or evaluation would refuse the set.
"""

EXAMPLES = """\
rdvar inspect --config wrn50:screw --config.data.root=MVTEC_AD
rdvar inspect --config demo:nut --config.data.root=parts --output sheet.png
"""


def add_arguments(parser: Parser) -> None:
    """Adds the command's flags."""
    add_config(
        parser, "data.root", "data.layout", "data.image_size", "data.geometry", "data.on_error"
    )
    parser.add_path(
        "--output",
        metavar="FILE.png|FOLDER",
        help="write a contact sheet of the images, to this file or folder (default: none)",
    )


def run(args: argparse.Namespace, settings: Sequence[Setting]) -> int:
    """Runs the command and returns the exit code."""
    config = read_config(args.config, settings)
    from rdvar_jax.commands.inspect import inspect_set
    from rdvar_jax.runs.config import resolved

    found = inspect_set(resolved(config), args.output)
    print(found.text)
    number = len(found.problems)
    if number:
        raise DataError(
            f"{config.data.category} cannot be used, because of the "
            f"{f'{number} problems' if number > 1 else 'problem'} above; fix them first."
        )
    return 0
