"""A deliberate fault: an exact change of one file, and the tests that must notice it."""

from dataclasses import dataclass
from pathlib import Path


class Misfit(Exception):
    """A fault that no longer fits the code."""


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: short, of its own.
        file: that is changed, from the root of the repository.
        old: text that the file holds exactly once.
        new: what takes its place. The file must still be a program.
        tests: the nearest tests, as pytest takes them: files, or FILE::FUNCTION.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied_to(self, root: Path) -> str:
        """The file's text with the fault in it.

        Raises:
            Misfit: the old text is not there exactly once.
        """
        text = (root / self.file).read_text(encoding="utf-8")
        count = text.count(self.old)
        if count != 1:
            raise Misfit(
                f"{self.name}: {self.file} holds the old text {count} times instead of once; "
                "bring the fault up to the code."
            )
        return text.replace(self.old, self.new)
