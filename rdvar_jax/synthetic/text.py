"""Letters and digits drawn with straight strokes, like an engraving machine's.

No font file: another version of a font would change the images of a seed.
"""

import numpy as np

from rdvar_jax.synthetic.fields import Frame, polyline

# Strokes on a grid four units wide and six high with its origin at the top left; each point is two
# digits, x and y: "00 06" goes down the left side.
_GLYPHS = {
    "0": ["10 30 41 45 36 16 05 01 10"],
    "1": ["11 20 26"],
    "2": ["01 10 30 41 42 06 46"],
    "4": ["36 30 04 44"],
    "5": ["40 00 02 32 43 45 36 16 05"],
    "7": ["00 40 16"],
    "8": ["10 30 41 42 33 13 02 01 10", "13 04 05 16 36 45 44 33"],
    "A": ["06 20 46", "14 34"],
    "C": ["41 30 10 01 05 16 36 45"],
    "D": ["00 30 41 45 36 06 00"],
    "E": ["40 00 06 46", "03 33"],
    "H": ["00 06", "40 46", "03 43"],
    "I": ["20 26"],
    "M": ["06 00 23 40 46"],
    "N": ["06 00 46 40"],
    "O": ["10 30 41 45 36 16 05 01 10"],
    "P": ["06 00 30 41 42 33 03"],
    "R": ["06 00 30 41 42 33 03", "23 46"],
    "S": ["41 30 10 01 02 13 33 44 45 36 16 05"],
    "T": ["00 40", "20 26"],
    "V": ["00 26 40"],
    "X": ["00 46", "40 06"],
    "Y": ["00 23 40", "23 26"],
    "-": ["03 43"],
    ".": ["26 26"],
    " ": [],
}
_ADVANCE = 5.6  # from one letter to the next, on that grid


def text_width(text: str, height: float) -> float:
    """Returns the width of a line of text of this height."""
    return (len(text) * _ADVANCE - (_ADVANCE - 4)) * height / 6


def text_distance(frame: Frame, text: str, height: float) -> np.ndarray:
    """Distance to the middle of the strokes of a text centred on the origin; inf far away.

    Raises:
        KeyError: the text has a letter without a glyph.
    """
    unit = height / 6
    left, top = -text_width(text, height) / 2, -height / 2
    distance = np.full(frame.u.shape, np.inf, np.float32)
    for position, letter in enumerate(text):
        start = left + position * _ADVANCE * unit
        margin = 0.25 * height
        window = frame.window(
            (start - margin, top - margin), (start + 4 * unit + margin, -top + margin)
        )
        near = frame.cut(window)
        for stroke in _GLYPHS[letter]:
            points = [
                (start + int(point[0]) * unit, top + int(point[1]) * unit)
                for point in stroke.split()
            ]
            distance[window] = np.minimum(distance[window], polyline(near, points)[0])
    return distance
