"""Argument parser of every command: spelling of flags, help with defaults, one-line errors."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

from rdvar_jax.cli.suggest import did_you_mean
from rdvar_jax.errors import ConfigError

TRUE, FALSE = ("true", "t", "1"), ("false", "f", "0")

# A value, not a flag, also in forms that argparse does not know: -1e-3, -1,2.
NEGATIVE_NUMBER = re.compile(r"-(\.?\d|inf)")


class Switch(argparse.Action):
    """Boolean flag: `--name` and `--noname`, or `--name=true` and `--name=false`."""

    def __init__(
        self, option_strings: Sequence[str], dest: str, default: bool = False, **options: Any
    ):
        (name,) = option_strings
        both = [name, f"--no{name[2:]}"]
        super().__init__(both, dest, nargs=0, default=default, **options)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, option_string == self.option_strings[0])


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Appends the default to each flag's help."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text, default = action.help or "", action.default
        if not action.option_strings or default is argparse.SUPPRESS or "(default" in text:
            return text
        if action.required:
            return f"{text} (required)"
        if isinstance(default, bool):
            return f"{text} (default: {'on' if default else 'off'})"
        return f"{text} (default: %(default)s)"


class Parser(argparse.ArgumentParser):
    """Parser of one command.

    Dashes within a flag's name count as underscores. Names cannot be abbreviated.
    """

    # Flag that also takes positional words, as in `a.png --save_maps b.png`.
    loose_words: str | None = None
    # Settings named in the help; None if the command has no config.
    useful_settings: tuple[str, ...] | None = None

    def __init__(self, **options: Any):
        super().__init__(allow_abbrev=False, formatter_class=_HelpFormatter, **options)

    def add_path(
        self, name: str, complete: Literal["file", "directory"] = "file", **options: Any
    ) -> None:
        """Adds a flag whose value is a path.

        Args:
            name: the flag.
            complete: what shell completion offers.
            **options: of `add_argument`.
        """
        action: Any = self.add_argument(name, type=_path, **options)
        action.complete = complete  # read by shtab

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """Parses a command's arguments.

        Raises:
            ConfigError: a flag is unknown, missing, or has an invalid value.
            SystemExit: after `--help` or `--version`.
        """
        words = list(words)
        end = words.index("--") if "--" in words else len(words)
        flags = self._spelt(words[:end])
        self._refuse_missing(flags)
        args, loose = self.parse_known_args(flags)
        loose += words[end + 1 :]
        if loose and self.loose_words is None:
            self.error(f"arguments not understood: {' '.join(loose)}")
        if loose and self.loose_words is not None:
            before = getattr(args, self.loose_words) or []
            if "" in loose:
                self.error("a path is empty")
            setattr(args, self.loose_words, [*before, *map(Path, loose)])
        return args

    def error(self, message: str) -> NoReturn:
        """Raises a ConfigError instead of exiting."""
        raise ConfigError(f"{message}; see {self.prog} --help.")

    def _spelt(self, words: list[str]) -> list[str]:
        """Spells flags as argparse knows them; raises a ConfigError for unknown ones."""
        known = self._option_string_actions
        spelt: list[str] = []
        for word in words:
            if NEGATIVE_NUMBER.match(word):
                if spelt and spelt[-1] in known:
                    spelt[-1] += f"={word}"
                else:
                    spelt.append(word)
                continue
            if not word.startswith("-") or word == "-":
                spelt.append(word)
                continue
            flag, equals, value = word.partition("=")
            if flag not in known:
                flag = f"--{flag.lstrip('-').replace('-', '_')}"
            if flag not in known or (word[:2] != "--" and word != "-h"):
                suggestion = did_you_mean(flag, known, f"see {self.prog} --help")
                raise ConfigError(f"unknown flag {word.partition('=')[0]}; {suggestion}")
            action = known[flag]
            if equals and isinstance(action, Switch) and value.lower() in (*TRUE, *FALSE):
                is_same = (value.lower() in TRUE) == (flag == action.option_strings[0])
                spelt.append(action.option_strings[0 if is_same else 1])
            else:
                spelt.append(f"{flag}{equals}{value}")
        return spelt

    def _refuse_missing(self, flags: list[str]) -> None:
        # Before argparse, whose error would come ahead of a misspelt flag's and name no value.
        given = {word.partition("=")[0] for word in flags}
        if given & {"-h", "--help"}:
            return
        missing = [
            action
            for action in self._actions
            if action.required and action.option_strings and not given & {*action.option_strings}
        ]
        lines = [
            f"{flag} is missing; give {flag} {action.metavar}, {action.help}."
            for action in missing
            for flag in action.option_strings[:1]
        ]
        if lines:
            raise ConfigError(*lines)


def _path(text: str) -> Path:
    # Path("") is the current folder, which an unset shell variable does not mean.
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)
