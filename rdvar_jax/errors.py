"""Errors that a user can mend.

Each carries one clear sentence that names the file or the setting and the way out. The command
line prints that sentence without a traceback and leaves with exit code 2; every other exception
is a defect of this program and keeps its traceback.
"""


class UserError(Exception):
    """Something outside the program is wrong, and the message says what to do about it."""


class ConfigError(UserError):
    """One or more settings cannot be used."""


class DataError(UserError):
    """An image, a mask or a folder of them cannot be used."""

    def __init__(self, sentence: str):
        super().__init__(one_line(sentence))


class WeightsError(UserError):
    """A weight file cannot be used."""


class CheckpointError(UserError):
    """A saved run cannot be read, written or continued."""


class BundleError(UserError):
    """An exported model cannot be read or written."""


def one_line(text: str) -> str:
    """The text with line ends and whatever cannot be printed escaped: names of files hold any."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
