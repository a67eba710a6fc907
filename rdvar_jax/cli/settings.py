"""Config of a command: `--config PRESET[:CATEGORY]` or a run's, and `--config.SECTION.NAME`."""

import argparse
import ast
import re
import sys
from collections import deque
from collections.abc import Callable, Sequence
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rdvar_jax.cli.parser import FALSE, TRUE, Parser
from rdvar_jax.cli.quick_imports import quick_imports
from rdvar_jax.cli.start import start_jax
from rdvar_jax.cli.suggest import did_you_mean
from rdvar_jax.errors import ConfigError

if TYPE_CHECKING:  # importing these would slow down --help
    from rdvar_jax.runs.config import Config
    from rdvar_jax.runs.workdir import Workdir

CHECKPOINTS = ("latest", "best")

# Module name of a loaded config file, which dataclasses in it look up.
CONFIG_MODULE = "rdvar_config"


# Flags of some commands, and the settings that they are short for.
SHORT_FLAGS = {"ignore": "score.ignore", "min_area": "score.min_area"}


class Setting(NamedTuple):
    """A setting from the command line."""

    name: str  # SECTION.NAME
    value: str


def add_config(parser: Parser, *useful: str, required: bool = True) -> None:
    """Adds the flag `--config`, and settings; the help names the `useful` ones."""
    action: Any = parser.add_argument(
        "--config",
        required=required,
        metavar="PRESET[:CATEGORY]",
        help="a preset (wrn50, resnet18, demo, smoke, stfpm) or a config file of your own, and the "
        f"category, a subfolder of data.root{'' if required else ' (default: none)'}",
    )
    action.complete = "file"
    parser.useful_settings = useful


def add_run(parser: Parser, *useful: str, required: bool = True) -> None:
    """Adds the flags for a run's folder and state, and settings that override the run's."""
    add_workdir(parser, required)
    add_checkpoint(parser)
    parser.useful_settings = useful


def add_workdir(parser: Parser, required: bool = True) -> None:
    """Adds the flag `--workdir`."""
    text = "the run's folder" if required else "the run's folder (default: none)"
    parser.add_path("--workdir", "directory", required=required, metavar="FOLDER", help=text)


def add_checkpoint(parser: Parser) -> None:
    """Adds the flag `--checkpoint`."""
    parser.add_argument(
        "--checkpoint",
        choices=CHECKPOINTS,
        default="latest",
        help="the latest state, or the best by train.best_metric",
    )


def add_ignore(parser: Parser) -> None:
    """Adds the flag `--ignore`, short for a setting; see `with_short_flags`."""
    parser.add_path(
        "--ignore",
        metavar="FILE",
        help="a picture of pixels that never count: all that are not black; none for no such "
        "pixels (default: the run's)",
    )


def add_min_area(parser: Parser) -> None:
    """Adds the flag `--min_area`, short for a setting; see `with_short_flags`."""
    parser.add_argument(
        "--min_area",
        type=int,
        metavar="PIXELS",
        help="an image without a region of so many pixels above the pixel threshold is good "
        "(default: the run's, 0)",
    )


def with_short_flags(args: argparse.Namespace, settings: Sequence[Setting]) -> list[Setting]:
    """Returns a command's settings with those of its flags that are short for one."""
    given = {name: getattr(args, flag, None) for flag, name in SHORT_FLAGS.items()}
    short = [Setting(name, str(value)) for name, value in given.items() if value is not None]
    return [*settings, *short]


def take_settings(words: Sequence[str]) -> tuple[list[Setting], list[str]]:
    """Splits a command's arguments into its settings and the rest.

    Raises:
        ConfigError: a setting has no value.
    """
    settings, rest, waiting = [], [], deque(words)
    while waiting:
        word = waiting.popleft()
        if word == "--":
            return settings, [*rest, word, *waiting]
        found = re.fullmatch(r"--(no)?config\.([^=]*)(?:=(.*))?", word, flags=re.DOTALL)
        if not found:
            rest.append(word)
            continue
        negated, name, value = found[1], found[2].replace("-", "_"), found[3]
        if negated and (value is not None or not _is_switch(name)):
            raise ConfigError(f"unknown flag {word}; give --config.{name}=VALUE.")
        if negated:
            value = "false"
        elif value is None:
            value = _value_behind(name, waiting)
        settings.append(Setting(name, value))
    return settings, rest


def _value_behind(name: str, waiting: deque[str]) -> str:
    """Takes the value of `--config.SECTION.NAME VALUE`, which a switch may omit."""
    following = waiting[0] if waiting else "--"
    if _is_switch(name) and following.lower() not in ("true", "false"):
        return "true"
    if following.startswith("--"):
        raise ConfigError(f"--config.{name} has no value; give --config.{name}=VALUE.")
    return waiting.popleft()


def _is_switch(name: str) -> bool:
    from rdvar_jax.runs.config import default_config

    config = default_config()
    return name in setting_names(config) and _kind(config, name) is bool


def read_config(text: str, settings: Sequence[Setting]) -> "Config":
    """Makes the preset, or reads the file, of `--config` and applies settings.

    Args:
        text: PRESET[:CATEGORY] or FILE[:CATEGORY]; a file with a preset's name is `./NAME`.
        settings: of the command.

    Raises:
        ConfigError: the file or a setting cannot be used.
    """
    from rdvar_jax.runs.presets import PRESETS, preset

    name, category = split_category(text)
    given = () if category is None else (category,)
    config = preset(name, *given) if name in PRESETS else load_config_file(name, *given)
    apply_settings(config, settings)
    return config


def split_category(text: str) -> tuple[str, str | None]:
    r"""Splits FILE[:CATEGORY] at the last colon, unless it is that of a drive, as in `C:\x.py`."""
    file, colon, category = text.rpartition(":")
    is_drive = len(file) == 1 and file.isalpha()
    return (file, category) if colon and not is_drive else (text, None)


def load_config_file(name: str, *category: str) -> "Config":
    """Calls a config file's `get_config`.

    Raises:
        ConfigError: the file does not exist, raises an error, or does not return a config.
    """
    from ml_collections import ConfigDict

    from rdvar_jax.runs.presets import PRESETS

    path = Path(name)
    if not path.is_file():
        presets = did_you_mean(name, PRESETS, f"the presets are {', '.join(PRESETS)}")
        raise ConfigError(f"--config {path}: there is no such file and no such preset; {presets}")
    loader = SourceFileLoader(CONFIG_MODULE, str(path))
    spec = spec_from_loader(CONFIG_MODULE, loader)
    assert spec is not None
    module = sys.modules[CONFIG_MODULE] = module_from_spec(spec)
    try:
        loader.exec_module(module)
        config = module.get_config(*category)
    # A config file is user code, which may raise anything.
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ConfigError(f"--config {path} cannot be read ({reason}).") from error
    if not isinstance(config, ConfigDict):
        raise ConfigError(
            f"--config {path} cannot be read (get_config returns a {type(config).__name__}); it "
            "must return a config, such as rdvar_jax.config.preset makes."
        )
    return config.lock()


def load_run(
    args: argparse.Namespace, settings: Sequence[Setting]
) -> "tuple[Config, Workdir, str]":
    """Reads a run's config, applies settings that override it, and starts JAX.

    Args:
        args: with the flags of `add_run`.
        settings: of the command.

    Returns:
        The config, the run's folder, and the name of the state.
    """
    with quick_imports():
        from rdvar_jax.runs.config import determining_settings, resolved, with_full_scale
        from rdvar_jax.runs.workdir import Workdir, load_config, refuse_other_settings

    workdir = Workdir(args.workdir.resolve())
    config = load_config(workdir)
    saved, full_scale = determining_settings(config), config.data.full_scale
    apply_settings(config, with_short_flags(args, settings))
    config = resolved(with_full_scale(config, full_scale))
    refuse_other_settings(saved, determining_settings(config), str(workdir.folder))
    start_jax()
    return config, workdir, args.checkpoint


def setting_names(config: "Config") -> list[str]:
    """Returns all settings of a config as SECTION.NAME."""
    return [f"{section}.{name}" for section in config for name in config[section]]


def apply_settings(config: "Config", settings: Sequence[Setting]) -> None:
    """Changes settings of a config, in order.

    Raises:
        ConfigError: one sentence for each that is unknown or of the wrong type.
    """
    names, tuples, problems = setting_names(config), {}, []
    for name, value in settings:
        if name not in names:
            problems.append(f"unknown setting {name}; {_closest(name, names)}")
            continue
        kind = _kind(config, name)
        if kind not in READERS:
            problems.append(f"{name} cannot be set on the command line; set it in the config file.")
            continue
        wanted, read = READERS[kind]
        try:
            parsed = read(str(value))
        except ValueError:
            problems.append(f"--config.{name}={value} must be {wanted}.")
            continue
        if kind is tuple:  # parts may come one by one
            parsed = tuples[name] = (*tuples.get(name, ()), *parsed)
        section, _, key = name.partition(".")
        config[section][key] = parsed
    if problems:
        raise ConfigError(*problems)


def _kind(config: "Config", name: str) -> Any:
    """Returns a setting's type, or a tuple of types if it has several."""
    section, _, key = name.partition(".")
    return config[section].get_type(key)


def _closest(name: str, names: list[str]) -> str:
    """Suggests a setting, also if the section is missing or wrong."""
    same_end = [known for known in names if known.split(".")[-1] == name.split(".")[-1]]
    if len(same_end) == 1:
        return f"did you mean {same_end[0]}?"
    return did_you_mean(name, names, "rdvar settings lists all")


def _read_bool(text: str) -> bool:
    if text.lower() not in (*TRUE, *FALSE):
        raise ValueError
    return text.lower() in TRUE


def _read_tuple(text: str) -> tuple[str, ...]:
    """Reads "('d1', 'd2')" as two names, and "d1" or "d1+d2" as one."""
    value = _read_literal(text)
    if isinstance(value, tuple | list):
        return tuple(map(str, value))
    return (value if isinstance(value, str) else text,)


def _read_image_size(text: str) -> int | tuple[int, ...]:
    """Reads "256", "256,384" and "(256, 384)"."""
    value = _read_literal(text)
    numbers = value if isinstance(value, tuple) else (value,)
    if not all(type(number) is int for number in numbers):
        raise ValueError
    return value


def read_full_scale(text: str) -> int | str:
    """Reads `data.full_scale`: a number or a name."""
    try:
        return int(text)
    except ValueError:
        return text


def _read_mask_threshold(text: str) -> str | int:
    """Reads "any" and "128"."""
    value = _read_literal(text)
    return value if type(value) is int else text


def _read_pooling(text: str) -> str | float:
    """Reads `score.pooling`: a name or a number."""
    try:
        return float(text)
    except ValueError:
        return text


def _read_literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, TypeError, ValueError):
        return None


# By type: its description in errors, and its reader, which raises a ValueError.
READERS: dict[Any, tuple[str, Callable[[str], Any]]] = {
    bool: ("true or false", _read_bool),
    int: ("a whole number", int),
    float: ("a number", float),
    str: ("text", str),
    tuple: ("one name or several", _read_tuple),
    (int, str): ("a whole number or a name", read_full_scale),
    (str, int): ("a name or a number", _read_mask_threshold),
    (str, float): ("a name or a number", _read_pooling),
    (int, tuple): ("S, or H,W: one whole number, or two separated by a comma", _read_image_size),
}
