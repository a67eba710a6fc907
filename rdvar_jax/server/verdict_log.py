"""Verdicts kept in a file of SQLite, each before it is answered."""


class LogError(Exception):
    """Verdicts cannot be kept.

    Attributes:
        is_full: whether there is no room.
    """

    def __init__(self, sentence: str, is_full: bool = False):
        super().__init__(sentence)
        self.is_full = is_full
