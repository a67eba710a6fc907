"""Text of any script in pictures: no letter is drawn as a box."""

from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from PIL import Image, ImageDraw

from rdvar_jax.report import lettering
from rdvar_jax.report.caption import Caption
from rdvar_jax.report.contact_sheet import Picture, Row, draw_contact_sheet
from rdvar_jax.report.figures import save_figures
from rdvar_jax.report.lettering import draw_text, fit_text, make_font, runs, text_length
from rdvar_jax.report.prediction import save_heat_map

NAMES = [
    *("Prüfling_ÄÖÜß.png", "Bu\u0308gel", "деталь/ось", "Ναύπλιο"),
    *("naïve São", "部品/猫.png", "ｐａｒｔ"),
]
NO_FONT_HAS_IT = "\U0010fffe"


def shown(text: str, font=None) -> str:
    return "".join(run for _, run in runs(text, font or make_font(15)))


def drawn(text: str) -> bytes:
    picture = Image.new("L", (600, 40), 255)
    draw_text(ImageDraw.Draw(picture), (4, 4), text, 0, make_font(15))  # pyright: ignore
    return picture.tobytes()


@pytest.fixture
def no_system_font(monkeypatch: pytest.MonkeyPatch):
    yield from with_fonts(monkeypatch, [])


def with_fonts(monkeypatch: pytest.MonkeyPatch, paths: list[str]):
    lettering._letter.cache_clear()
    monkeypatch.setattr(lettering, "_system_fonts", lambda: paths)
    yield
    lettering._letter.cache_clear()


@pytest.mark.parametrize("name", NAMES)
def test_no_letter_is_the_box_of_a_missing_one(no_system_font, name: str):
    for font, run in runs(name, make_font(15)):
        box = bytes(font.getmask(NO_FONT_HAS_IT))
        assert box and all(bytes(font.getmask(letter)) != box for letter in run), run
    assert text_length(name, make_font(15)) > 0


def test_what_no_font_has_is_escaped_or_made_plain(no_system_font):
    assert shown("Prüfling 猫ｘ.png") == "Prüfling \\u732bx.png"
    assert shown("Bu\u0308gel") == "Bügel"
    assert shown("\U00020000") == "\\U00020000"


def test_letters_that_another_font_of_the_system_has(tmp_path: Path, monkeypatch):
    """A font of one letter, which is as wide as it says; one that cannot be read is left out."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 800), (700, 800), (700, 0)):
        pen.lineTo(corner)
    pen.closePath()
    square, empty = pen.glyph(), TTGlyphPen(None).glyph()
    builder = FontBuilder(1000)
    builder.setupGlyphOrder([".notdef", "cat", "blank"])
    builder.setupCharacterMap({0x732B: "cat", 0x72AC: "blank"})
    builder.setupGlyf({".notdef": empty, "cat": square, "blank": empty})
    builder.setupHorizontalMetrics({name: (2000, 0) for name in (".notdef", "cat", "blank")})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Cats", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "cats.ttf")
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    paths = [str(tmp_path / name) for name in ("broken.ttf", "cats.ttf")]
    for _ in with_fonts(monkeypatch, paths):
        found = runs("a猫犬", make_font(20))
        # The font says that it has the last letter, and draws nothing.
        assert [run for _, run in found] == ["a", "猫", "\\u72ac"]
        assert found[1][0].getlength("猫") == pytest.approx(40, abs=0.5)
        assert text_length("猫", make_font(20)) == pytest.approx(40, abs=0.5)


def test_plain_english_stays_in_pillows_font():
    font = make_font(15)
    assert runs("rank 3 of 12.png", font) == [(font, "rank 3 of 12.png")]


def test_long_text_of_several_fonts_is_fitted(no_system_font):
    font = make_font(15)
    short = fit_text("ä猫" * 40 + "/Prüfling.png", 200, font)
    assert short.startswith("...") and short.endswith("/Prüfling.png")
    assert 150 < text_length(short, font) <= 200


def test_every_picture_tells_letters_apart(tmp_path: Path, no_system_font):
    """Boxes would be equal."""
    pictures: dict[str, list[bytes]] = {"heat map": [], "sheet": [], "figure": [], "overview": []}
    for letter in "äö猫犬":
        save_heat_map(
            tmp_path / "a.png",
            np.zeros((32, 32, 3), np.uint8),
            np.zeros((32, 32)),
            f"{letter}.png",
            Caption(1.0),
            (0, 1),
        )
        pictures["heat map"].append(Image.open(tmp_path / "a.png").tobytes())
        sheet = draw_contact_sheet("set", [Row("kind", [Picture(f"{letter}.png", None)])])
        pictures["sheet"].append(sheet.tobytes())
        one = np.zeros((1, 32, 32, 3), np.uint8), None, np.zeros((1, 32, 32)), [0.0], [0]
        figure, _, overview = save_figures(tmp_path / "figures", *one, [f"{letter}/0.png"])
        for kind, path in (("figure", figure), ("overview", overview)):
            pictures[kind].append(Image.open(path).tobytes())
    for kind, four in pictures.items():
        assert len(set(four)) == 4, kind
    assert drawn("ä") != drawn("ö")


def test_without_matplotlib_other_letters_are_escaped(monkeypatch):
    monkeypatch.setattr(lettering, "find_spec", lambda name: None)
    font = make_font(15)
    assert runs("a_ä猫.png", font) == [(font, "a_\\xe4\\u732b.png")]
