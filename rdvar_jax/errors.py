"""User-fixable errors.

The message is one sentence that names the file or the setting and the way out. The command line
prints it without a traceback and exits with code 2; any other exception is a bug and keeps its
traceback. Names in messages and log lines are escaped here: a file name may hold line breaks and
control characters, with which it could pass for a line of its own.
"""

import logging


class UserError(Exception):
    """An error outside the program; the message says how to fix it.

    Args:
        sentences: one for each problem; each becomes one printable line.
    """

    def __init__(self, *sentences: str):
        super().__init__("\n".join(map(one_line, sentences)))


class ConfigError(UserError):
    """One or more settings cannot be used."""


class DataError(UserError):
    """An image, a mask or an image folder cannot be used."""


class WeightsError(UserError):
    """A weight file cannot be used."""


class CheckpointError(UserError):
    """A saved run cannot be read, written or resumed."""


class BundleError(UserError):
    """An exported model cannot be read or written."""


class InUseError(UserError):
    """Another process writes the same folder or file."""


class CompilerError(UserError):
    """The installed version of JAX computes wrong numbers on this computer."""


def one_line(text: str) -> str:
    """Escapes line breaks and unprintable characters, which file names may contain."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def first_line(error: Exception) -> str:
    """Returns the beginning of an exception's message as one printable line."""
    return one_line((str(error).splitlines() or [type(error).__name__])[0])[:300]


class OneLineFormatter(logging.Formatter):
    """Formats each log message as one printable line."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return one_line(super().formatMessage(record))
