"""`rdvar train` on the command line."""

import sys

from absl import flags

from rdvar_jax.command_line.ending import report_error
from rdvar_jax.command_line.settings import define_workdir, read_config, read_workdir
from rdvar_jax.command_line.start import start_jax

HELP = """
rdvar train --config FILE[:CATEGORY] --workdir W [--config.SECTION.NAME=VALUE ...]
    Train on the good images of data.root/CATEGORY. The same command goes on where a stopped run
    was. Settings and their defaults: rdvar_jax/runs/config.py.
"""


def run(argv: list[str]) -> int:
    """Runs the command; `argv` is its name and its arguments. Gives the exit code."""
    values = flags.FlagValues()
    define_workdir(values)
    config = read_config(values, argv)
    start_jax()
    from rdvar_jax.commands.train import train
    from rdvar_jax.devices.processes import is_main_process, membership
    from rdvar_jax.runs.config import resolved
    from rdvar_jax.training.stop import Stopped

    with membership(report_error, **config.distributed):
        try:
            train(resolved(config), read_workdir(values))
        except Stopped as stopped:
            print(f"rdvar: {stopped}", file=sys.stderr)
            return 128 + stopped.signal_number
        if is_main_process():
            print(f"trained; next: rdvar evaluate --workdir {values['workdir'].value}")
    return 0
