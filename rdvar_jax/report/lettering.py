"""Text in pictures, in fonts that have its letters: never a box in place of one.

Plain English is drawn in Pillow's own font. Other text is drawn in DejaVu, which comes with
matplotlib; letters that it lacks, in the first font of the system that has them, or else escaped,
such as `\\u732b`. Where matplotlib is not installed, all but plain English is escaped.
"""

import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

from PIL import ImageDraw, ImageFont

Font: TypeAlias = ImageFont.FreeTypeFont
Colour: TypeAlias = tuple[int, int, int]


def printable(text: str) -> str:
    """Replaces characters that cannot be drawn on one line: controls and lone surrogates."""
    return "".join(c if c.isprintable() else "?" for c in text)


@lru_cache(maxsize=64)
def make_font(size: float) -> Font:
    """Returns Pillow's own font, for plain English."""
    font = ImageFont.load_default(size=size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def draw_text(
    draw: ImageDraw.ImageDraw,
    corner: tuple[float, float],
    text: str,
    fill: Colour,
    font: Font,
) -> None:
    """Draws text to the right of and below `corner`, in fonts of the size of `font`."""
    x, y = corner
    baseline = y + font.getmetrics()[0]
    for of_run, run in runs(text, font):
        draw.text((x, baseline), run, fill=fill, font=of_run, anchor="ls")
        x += of_run.getlength(run)


def text_length(text: str, font: Font) -> float:
    """Returns the width of what `draw_text` draws, in pixels."""
    return sum(of_run.getlength(run) for of_run, run in runs(text, font))


def fit_text(text: str, width: int, font: Font) -> str:
    """Shortens a long text at its front, since the end of a path is more informative."""
    if text_length(text, font) <= width:
        return text
    start = bisect_left(
        range(len(text)), True, key=lambda i: text_length("..." + text[i:], font) <= width
    )
    return "..." + text[start:]


def runs(text: str, font: Font) -> list[tuple[Font, str]]:
    """Splits text into parts that one font has, and escapes what none has."""
    if text.isascii():
        return [(font, text)]
    if find_spec("matplotlib") is None:
        return [(font, "".join(c if c.isascii() else ascii(c)[1:-1] for c in text))]
    # One letter in place of a letter and its accent, which fonts more often have.
    letters = [_letter(letter) for letter in unicodedata.normalize("NFC", text)]
    return [
        (_load(path, font.size), "".join(shown for _, shown in of_path))
        for path, of_path in groupby(letters, key=lambda letter: letter[0])
    ]


@lru_cache(maxsize=4096)
def _letter(letter: str) -> tuple[str, str]:
    """Returns the font for a letter, and the letter, or what to draw in its place."""
    if ord(letter) in _letters_of(dejavu()):
        return dejavu(), letter
    for path in _system_fonts():
        if ord(letter) in _letters_of(path) and _is_drawn(path, letter):
            return path, letter
    # Such as a full-width or ornamental form of a plain letter.
    plain = unicodedata.normalize("NFKC", letter)
    if all(ord(one) in _letters_of(dejavu()) for one in plain):
        return dejavu(), plain
    return dejavu(), ascii(letter)[1:-1]


@lru_cache(maxsize=1)
def dejavu() -> str:
    """Returns the file of DejaVu Sans."""
    # Imported here: most pictures need no other font.
    import matplotlib

    return str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))


@lru_cache(maxsize=1)
def _system_fonts() -> Sequence[str]:
    from matplotlib.font_manager import findSystemFonts

    return sorted(findSystemFonts())


@lru_cache(maxsize=1024)
def _letters_of(path: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):  # a font that cannot be read
        return frozenset()


@lru_cache(maxsize=64)
def _load(path: str, size: float) -> Font:
    return ImageFont.truetype(path, size)


def _is_drawn(path: str, letter: str) -> bool:
    try:
        return _load(path, 16).getmask(letter).getbbox() is not None
    except OSError:  # a font of pictures, such as emoji, in one size alone
        return False
