"""Flags and settings: a run's folder, its config, and `--config.SECTION.NAME`."""

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from rdvar_jax.command_line.start import start_jax
from rdvar_jax.errors import ConfigError

if TYPE_CHECKING:  # loading these takes seconds, which --help should not
    from rdvar_jax.runs.config import Config
    from rdvar_jax.runs.workdir import Workdir


def define_workdir(values: flags.FlagValues) -> None:
    """Makes the flag `--workdir`."""
    flags.DEFINE_string("workdir", None, "the run's folder", flag_values=values)


def read_workdir(values: flags.FlagValues) -> Path:
    """The value of `--workdir`; raises a ConfigError where it is missing."""
    if not values["workdir"].value:
        raise ConfigError("--workdir is missing; give the folder that the run lives in.")
    return Path(values["workdir"].value)


def load_run(values: flags.FlagValues, argv: list[str]) -> "tuple[Config, Workdir, str, list[str]]":
    """Reads a trained run's config, and then the settings, which only that config makes flags.

    Args:
        values: the command's own flags, parsed here.
        argv: the command and its arguments.

    Returns:
        The config with the settings of `argv`, the workdir, --checkpoint, and words without a flag.
    """
    values.set_gnu_getopt(True)
    rest = values(argv, known_only=True)
    folder = read_workdir(values)
    start_jax()
    from rdvar_jax.runs.config import determining_settings, resolved
    from rdvar_jax.runs.workdir import Workdir, load_config, refuse_other_settings
    from rdvar_jax.training.checkpoint import CHECKPOINTS

    workdir = Workdir(folder.resolve())
    config = load_config(workdir)
    saved = determining_settings(config)
    settings = flags.FlagValues()
    settings.set_gnu_getopt(True)
    flags.DEFINE_enum("checkpoint", "latest", CHECKPOINTS, "which state", flag_values=settings)
    define_settings(settings, config, rest)
    extra = _parse(settings, rest)
    config = resolved(settings["config"].value)
    refuse_other_settings(saved, determining_settings(config), str(workdir.folder))
    return config, workdir, str(settings["checkpoint"].value), extra


def read_config(values: flags.FlagValues, argv: list[str]) -> "Config":
    """Reads the flags, among them `--config FILE:CATEGORY` and its settings, and gives the config.

    Raises:
        ConfigError, flags.Error: a flag, a setting or the file cannot be used.
    """
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
    return config


def define_settings(values: flags.FlagValues, config: Any, argv: list[str]) -> None:
    """Makes flags of a config's settings, `--config.SECTION.NAME`, with its values as defaults.

    Raises:
        ConfigError: `argv` names a section that there is not.
    """
    from ml_collections import config_flags

    register_image_size()
    try:
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=argv)
    except (AttributeError, KeyError) as error:
        raise ConfigError(f"unknown setting: {error}; see rdvar_jax/runs/config.py.") from error


def parse_flags(values: flags.FlagValues, argv: list[str]) -> None:
    """Gives the flags their values, from the arguments after the first.

    Raises:
        ConfigError, flags.Error: an unknown flag or setting, or a value that it cannot have.
    """
    refuse_extra(_parse(values, argv))


def register_image_size() -> None:
    """Lets `--config.data.image_size` be a number or two; to be called before flags are made."""
    from ml_collections import config_flags

    from rdvar_jax.runs.config import IMAGE_SIZE_TYPES

    types: Any = IMAGE_SIZE_TYPES
    config_flags.register_flag_parser_for_type(types, _ImageSizeParser())


class _ImageSizeParser(flags.ArgumentParser):
    """Reads "256", "256,384" and "(256, 384)"."""

    def parse(self, argument: Any) -> int | tuple[int, ...]:
        value: Any = argument
        if isinstance(argument, str):
            try:
                value = ast.literal_eval(argument)
            except (SyntaxError, ValueError):
                value = None
        numbers = value if isinstance(value, tuple) else (value,)
        if not all(type(number) is int for number in numbers):
            raise ValueError("give S, or H,W: a whole number, or two with a comma between them")
        return value


def _parse(values: flags.FlagValues, argv: list[str]) -> list[str]:
    """Reads the flags and gives the words that belong to none."""
    try:
        return values(argv)[1:]
    except flags.Error:
        raise
    except (AttributeError, TypeError, KeyError) as error:
        raise ConfigError(
            f"unknown setting, or a value of the wrong type: {error}; see rdvar_jax/runs/config.py."
        ) from error
    # A config file is the user's own code: anything may come out of it.
    except Exception as error:
        raise ConfigError(f"--config cannot be read ({type(error).__name__}: {error})") from error


def refuse_extra(extra: list[str]) -> None:
    """Raises a ConfigError where words are left that belong to no flag."""
    if extra:
        raise ConfigError(f"arguments not understood: {' '.join(extra)}; see rdvar --help.")
