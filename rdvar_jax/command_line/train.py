"""`rdvar train` on the command line."""

import sys

from absl import flags

from rdvar_jax.command_line.ending import report_error
from rdvar_jax.command_line.settings import (
    define_workdir,
    parse_flags,
    read_workdir,
    register_image_size,
)
from rdvar_jax.command_line.start import start_jax
from rdvar_jax.errors import ConfigError

HELP = """
rdvar train --config FILE[:CATEGORY] --workdir W [--config.SECTION.NAME=VALUE ...]
    Train on the good images of data.root/CATEGORY. The same command goes on where a stopped run
    was. Settings and their defaults: rdvar_jax/config.py.
"""


def run(argv: list[str]) -> int:
    """Runs the command; `argv` is its name and its arguments. Gives the exit code."""
    values = flags.FlagValues()
    define_workdir(values)
    from ml_collections import config_flags

    register_image_size()
    config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=argv)
    parse_flags(values, argv)
    config = values["config"].value
    if config is None:
        raise ConfigError(
            "--config is missing; give a file of configs/, as in --config FILE:CATEGORY."
        )
    try:
        config.to_dict()
    except OSError as error:  # raised at the first use of a config whose file is missing
        reason = str(error).splitlines()[-1].strip()
        raise ConfigError(f"--config cannot be read: {reason}; give a file of configs/.") from error
    start_jax()
    from rdvar_jax.config import resolved
    from rdvar_jax.distributed import is_first, membership
    from rdvar_jax.train import train
    from rdvar_jax.training.stop import Stopped

    with membership(report_error, **config.distributed):
        try:
            train(resolved(config), read_workdir(values))
        except Stopped as stopped:
            print(f"rdvar: {stopped}", file=sys.stderr)
            return 128 + stopped.signal_number
        if is_first():
            print(f"trained; next: rdvar evaluate --workdir {values['workdir'].value}")
    return 0
