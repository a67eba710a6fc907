"""Shell completion: commands, flags, settings, and paths."""

from argparse import SUPPRESS
from collections.abc import Iterable

from rdvar_jax.cli.parser import Parser
from rdvar_jax.cli.settings import setting_names

SHELLS = ("bash", "fish", "tcsh", "zsh")


def completion_script(parser: Parser, commands: Iterable[Parser], shell: str) -> str:
    """Returns the completion script for a shell.

    Args:
        parser: of `rdvar`.
        commands: its commands' parsers; those with a config get a flag for each setting.
        shell: one of SHELLS.
    """
    import shtab

    from rdvar_jax.runs.config import default_config

    names = setting_names(default_config())
    for command in commands:
        if command.useful_settings is not None:
            for name in names:
                command.add_argument(
                    f"--config.{name}", default=SUPPRESS, metavar="VALUE", help=f"setting {name}"
                )
    return shtab.complete(parser, shell)
