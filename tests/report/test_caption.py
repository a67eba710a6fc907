"""The strip that says verdict and score, at every size of image."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from rdvar_jax.report.caption import SMALLEST_FONT, Caption, draw_strip
from rdvar_jax.report.lettering import make_font
from rdvar_jax.report.turbo import TURBO

SIZES = [(64, 64), (256, 256), (900, 700), (4000, 3000), (64, 4000), (4000, 64), (1, 1), (30, 30)]
CAPTIONS = {
    "defective": Caption(0.41234, 0.35, "defective"),
    "good": Caption(0.2, 0.35, "good"),
    "score alone": Caption(0.41234),
    "long": Caption(-1.234567e-20, -1.234568e-20, "defective"),
}


def test_numbers_are_short_and_never_look_equal_if_they_differ():
    assert CAPTIONS["defective"].numbers() == ("0.4123", "0.35")
    assert CAPTIONS["score alone"].numbers() == ("0.4123", None)
    above = float(np.nextafter(np.float32(0.35), np.float32(1)))
    score, threshold = Caption(above, 0.35, "defective").numbers()
    assert score != threshold
    assert float(score) == pytest.approx(0.35, rel=1e-6)
    assert Caption(0.35, 0.35, "good").numbers() == ("0.35", "0.35")


@pytest.mark.parametrize("name", CAPTIONS)
@pytest.mark.parametrize("size", SIZES)
def test_the_words_fit_and_are_large_enough(size, name, monkeypatch):
    caption, drawn, fonts = CAPTIONS[name], [], []
    text = ImageDraw.ImageDraw.text

    def spy(self, xy, words, **options):
        left, top, right, bottom = options["font"].getbbox(words, anchor=options["anchor"])
        drawn.append((words, xy[0] + left, xy[1] + top, xy[0] + right, xy[1] + bottom))
        fonts.append(options["font"].size)
        text(self, xy, words, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", spy)
    strip = draw_strip(caption, *size)
    height, width = strip.shape[:2]
    assert width >= size[0]
    # Wider only where even single words in the smallest letters need it.
    assert width == size[0] or fonts[0] == SMALLEST_FONT
    assert min(fonts) >= SMALLEST_FONT
    for _, left, top, right, bottom in drawn:
        assert left >= 0 and top >= -1 and right <= width and bottom <= height + 1
    for (_, _, _, _, above), (_, _, below, _, _) in zip(drawn, drawn[1:], strict=False):
        assert above <= below + 1  # lines do not cover each other
    words = " ".join(words for words, *_ in drawn)
    score, threshold = caption.numbers()
    assert f"score {score}" in words
    assert (f"threshold {threshold}" in words) == (threshold is not None)
    assert (caption.verdict or "") in words and ("defective" in words) == (
        name in ("defective", "long")
    )


def test_large_pictures_have_large_letters_and_thin_strips():
    heights = [len(draw_strip(CAPTIONS["good"], side, side)) for side in (640, 2000, 4000)]
    assert heights[0] < heights[1] < heights[2]
    assert all(
        height < 0.06 * side for height, side in zip(heights, (640, 2000, 4000), strict=True)
    )


def test_each_verdict_has_its_colour():
    corners = {name: tuple(draw_strip(CAPTIONS[name], 300, 300)[0, 0]) for name in CAPTIONS}
    assert len(set(corners.values())) == 3  # "long" is defective too
    assert corners["defective"][0] > corners["defective"][1]
    assert corners["good"][1] > corners["good"][0]


def test_the_letters_are_there():
    strip = draw_strip(CAPTIONS["defective"], 640, 480)
    (line,) = CAPTIONS["defective"].lines()[0]
    font = make_font(640 / 36)
    picture = Image.new("L", (640, 40))
    ImageDraw.Draw(picture).text((0, 20), line, fill=255, font=font, anchor="lm")
    ink = (np.asarray(picture) > 127).sum()
    assert (strip.min(-1) > 160).sum() == pytest.approx(ink, rel=0.3)


def test_turbo_is_that_of_matplotlib():
    import matplotlib

    expected = matplotlib.colormaps["turbo"](np.arange(256))[:, :3] * 255
    assert np.abs(TURBO - expected).max() <= 0.5
