"""Verdict and score of a predicted image as text, and as a strip below its picture."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from rdvar_jax.report.lettering import make_font, text_length
from rdvar_jax.report.panels import DEFECTIVE as DEFECTIVE_COLOUR
from rdvar_jax.report.panels import GOOD as GOOD_COLOUR
from rdvar_jax.report.prediction_files import DEFECTIVE, GOOD

SMALLEST_FONT = 12  # pixels
SIDE_PER_FONT = 36  # a picture's longer side per height of the letters: legible once it is shrunk
_MOST_DIGITS = 9  # tell any two float32 apart
_UNDECIDED_COLOUR = (73, 80, 87)


@dataclass(frozen=True)
class Caption:
    """Texts of one image.

    Attributes:
        score: raw, a float32 value.
        threshold: or None.
        verdict: GOOD or DEFECTIVE; None without a threshold.
    """

    score: float
    threshold: float | None = None
    verdict: str | None = None

    def numbers(self) -> tuple[str, str | None]:
        """Returns score and threshold with 4 digits, or as many as tell them apart."""
        if self.threshold is None:
            return f"{self.score:.4g}", None
        score, threshold = np.float32(self.score), np.float32(self.threshold)
        for digits in range(4, _MOST_DIGITS):
            texts = f"{score:.{digits}g}", f"{threshold:.{digits}g}"
            if texts[0] != texts[1] or score == threshold:
                return texts
        return f"{score:.{_MOST_DIGITS}g}", f"{threshold:.{_MOST_DIGITS}g}"

    def lines(self) -> list[list[str]]:
        """Returns the same words broken into ever more lines."""
        score, threshold = self.numbers()
        verdict = [] if self.verdict is None else [self.verdict]
        parts = ["score", score] if threshold is None else ["score", score, "threshold", threshold]
        pairs = [" ".join(parts[i : i + 2]) for i in range(0, len(parts), 2)]
        return [
            ["   ".join([*verdict, ", ".join(pairs)])],
            [*verdict, ", ".join(pairs)],
            [*verdict, *pairs],
            [*verdict, *parts],
        ]


def draw_strip(caption: Caption, width: int, height: int) -> np.ndarray:
    """Draws the strip below a picture in the colour of its verdict.

    Letters grow with the picture and are never smaller than `SMALLEST_FONT`. Where one line of them
    is too long there are several; below a very narrow picture the strip is wider than it.

    Args:
        caption: the texts.
        width, height: of the picture.

    Returns:
        uint8 [h, w, 3], w >= width.
    """
    wanted = max(SMALLEST_FONT, max(width, height) / SIDE_PER_FONT)
    lines, size = [""], float(SMALLEST_FONT)
    for lines in caption.lines():
        size = min(wanted, wanted * (width - wanted) / _length(lines, wanted))
        if size >= max(SMALLEST_FONT, wanted / 2):
            break
    size = max(size, SMALLEST_FONT)
    font, margin, line = make_font(size), round(size / 2), round(1.35 * size)
    full_width = max(width, round(_length(lines, size)) + 2 * margin)
    colours = {GOOD: GOOD_COLOUR, DEFECTIVE: DEFECTIVE_COLOUR}
    colour = colours.get(caption.verdict or "", _UNDECIDED_COLOUR)
    strip = Image.new("RGB", (full_width, len(lines) * line + margin), colour)
    draw = ImageDraw.Draw(strip)
    for number, text in enumerate(lines):
        middle = margin / 2 + (number + 0.5) * line
        draw.text((margin, middle), text, fill=(255, 255, 255), font=font, anchor="lm")
    return np.asarray(strip)


def _length(lines: list[str], size: float) -> float:
    font = make_font(size)
    return max(text_length(text, font) for text in lines)
