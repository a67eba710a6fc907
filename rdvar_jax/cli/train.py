"""`rdvar train` on the command line."""

import argparse
import sys
from collections.abc import Sequence

from rdvar_jax.cli.ending import report_error
from rdvar_jax.cli.parser import Parser
from rdvar_jax.cli.settings import Setting, add_config, add_workdir, read_config
from rdvar_jax.cli.start import start_jax
from rdvar_jax.errors import one_line

DESCRIPTION = """Train on the good images of a category.

The same command resumes a stopped run. Several machines train one run with the settings of the
section distributed: docs/multihost.md.
"""

EXAMPLES = """\
rdvar train --config wrn50:screw --config.data.root=MVTEC_AD --workdir W
rdvar train --config demo:nut --config.data.root=parts --config.train.epochs=20 \\
    --workdir W
"""


def add_arguments(parser: Parser) -> None:
    """Adds the command's flags."""
    add_config(
        parser,
        "data.root",
        "data.image_size",
        "data.validation",
        "teacher.arch",
        "teacher.weights",
        "loss.lambda_var",
        "loss.stages",
        "train.epochs",
        "train.batch_size",
        "train.seed",
        "parallel.num_devices",
    )
    add_workdir(parser)


def run(args: argparse.Namespace, settings: Sequence[Setting]) -> int:
    """Runs the command and returns the exit code."""
    config = read_config(args.config, settings)
    start_jax()
    from rdvar_jax.commands.train import train
    from rdvar_jax.devices.processes import is_main_process, membership
    from rdvar_jax.runs.config import resolved
    from rdvar_jax.training.stop import Stopped

    with membership(report_error, **config.distributed):
        try:
            train(resolved(config), args.workdir)
        except Stopped as stopped:
            print(f"rdvar: {stopped}", file=sys.stderr)
            return 128 + stopped.signal_number
        if is_main_process():
            print(one_line(f"trained; next: rdvar evaluate --workdir {args.workdir}"))
    return 0
