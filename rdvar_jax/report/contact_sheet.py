"""Contact sheets: rows of small pictures with outlined masks and names below."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, PngImagePlugin

from rdvar_jax.errors import UserError
from rdvar_jax.files.locks import locked_file
from rdvar_jax.files.replacing import replacing
from rdvar_jax.report.lettering import draw_text, fit_text, make_font, printable
from rdvar_jax.report.outline import rings
from rdvar_jax.report.panels import DEFECTIVE, FRAME, MUTED, TEXT

SIDE = 168  # of the square that a picture is fitted into, in pixels
COLUMNS = 8
OWN_MARK = b"rdvar_jax contact sheet"  # in the header; files without it are not replaced
_GAP, _LINE, _TITLE = 10, 18, 30
_OUTLINE = (255, 60, 60)


@dataclass(frozen=True)
class Picture:
    """One picture of a row."""

    name: str
    pixels: np.ndarray | None  # uint8 [H, W, 3], no side over SIDE; None draws a placeholder
    mask: np.ndarray | None = None  # bool [H, W]
    remark: str = ""  # below the name, in red


@dataclass(frozen=True)
class Row:
    """Pictures of one kind, at most COLUMNS of them."""

    title: str
    pictures: Sequence[Picture]


def draw_contact_sheet(title: str, rows: Sequence[Row]) -> Image.Image:
    """Draws the rows below each other, with their titles."""
    block = _TITLE + SIDE + 2 * _LINE + _GAP
    width = COLUMNS * (SIDE + _GAP) + _GAP
    canvas = Image.new("RGB", (width, 50 + len(rows) * block), "white")
    draw = ImageDraw.Draw(canvas)
    font = make_font(22)
    draw_text(draw, (_GAP, 14), fit_text(printable(title), width - 2 * _GAP, font), TEXT, font)
    for number, row in enumerate(rows):
        top = 50 + number * block
        draw.line((_GAP, top, width - _GAP, top), fill=FRAME)
        draw_text(draw, (_GAP, top + 7), printable(row.title), TEXT, make_font(16))
        for column, picture in enumerate(row.pictures):
            _draw_picture(canvas, (_GAP + column * (SIDE + _GAP), top + _TITLE), picture)
    return canvas


def save_contact_sheet(path: Path, sheet: Image.Image) -> None:
    """Writes the sheet as a PNG atomically; replaces only an older sheet.

    Raises:
        UserError: another file exists at `path`, or it cannot be written.
    """
    mark = PngImagePlugin.PngInfo()
    mark.add_text("Software", OWN_MARK.decode())
    try:
        if path.exists():
            with path.open("rb") as file:
                if OWN_MARK not in file.read(200):
                    raise UserError(
                        f"--output {path} exists and was not written by rdvar inspect; choose "
                        "another name."
                    )
        path.parent.mkdir(parents=True, exist_ok=True)
        way_out = "run this command again when it has ended, or choose another name"
        with locked_file(path, way_out), replacing(path) as temporary:
            sheet.save(temporary, format="PNG", pnginfo=mark)
    except OSError as error:
        raise UserError(
            f"--output {path} cannot be written ({error.strerror or error}); choose another path."
        ) from error


def _draw_picture(canvas: Image.Image, corner: tuple[int, int], picture: Picture) -> None:
    x, y = corner
    draw, font = ImageDraw.Draw(canvas), make_font(13)
    draw.rectangle((x, y, x + SIDE - 1, y + SIDE - 1), fill=(248, 249, 250), outline=FRAME)
    if picture.pixels is None:
        middle = (x + SIDE / 2, y + SIDE / 2)
        draw.text(middle, "no picture", fill=MUTED, font=font, anchor="mm")
    else:
        height, width = picture.pixels.shape[:2]
        image = Image.fromarray(_outlined(picture.pixels, picture.mask))
        canvas.paste(image, (x + (SIDE - width) // 2, y + (SIDE - height) // 2))
    name = fit_text(printable(picture.name), SIDE, font)
    draw_text(draw, (x, y + SIDE + 3), name, TEXT, font)
    if picture.remark:
        draw.text((x, y + SIDE + 3 + _LINE), picture.remark, fill=DEFECTIVE, font=font)


def _outlined(pixels: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Draws a red line with a white one around it outside the mask, which stays uncovered."""
    if mask is None:
        return pixels
    pixels = pixels.copy()
    for ring, color in zip(rings(mask, 2, 1), (_OUTLINE, (255, 255, 255)), strict=True):
        pixels[ring] = color
    return pixels
