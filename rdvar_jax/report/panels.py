"""Drawing of an image's tiles and caption, and of sheets of several images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rdvar_jax.report.lettering import draw_text, fit_text, make_font
from rdvar_jax.report.outline import draw_outline
from rdvar_jax.report.turbo import TURBO

TILE = 256  # pixels per side in sheets; single images are drawn at up to twice this
SHEET_COLUMNS = 6
IMAGE, MASK, HEAT = "image", "mask", "anomaly map"  # titles of the tiles
MAX_OPACITY = 0.8
STRIP_PIXELS = 1 << 15  # overlaid at once: few enough to stay in a core's cache
TEXT, MUTED, FRAME = (33, 37, 41), (108, 117, 125), (206, 212, 218)
GOOD, DEFECTIVE = (25, 110, 60), (176, 32, 32)


@dataclass(frozen=True)
class Example:
    """One image of the set with the texts of its caption, all `printable`."""

    image: np.ndarray
    anomaly_map: np.ndarray
    name: str
    score: str
    # Of labelled images only; without a mask there is no tile for it.
    mask: np.ndarray | None = None
    kind: str = ""
    defective: bool | None = None
    remarks: Sequence[str] = ()


def overlay(
    image: np.ndarray,
    anomaly_map: np.ndarray,
    scale: tuple[float, float],
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Lays heat over the image, more opaque where hotter, so that the part stays visible.

    Args:
        image: uint8 [H, W, 3].
        anomaly_map: float [H, W].
        scale: the raw values of no heat and of full heat; see `color_scale`.
        out: uint8 [H, W, 3] for the result; None makes a new array.

    Returns:
        uint8 [H, W, 3].
    """
    low, high = scale
    span = high - low if high > low else 1.0
    out = np.empty(image.shape, np.uint8) if out is None else out
    rows = max(1, STRIP_PIXELS // max(1, image.shape[1]))
    for top in range(0, len(image), rows):
        strip = slice(top, top + rows)
        heat = np.clip((anomaly_map[strip] - low) / span, 0.0, 1.0)
        color = TURBO.take(np.minimum(heat * 256, 255).astype(np.uint8), axis=0)
        # Written out for each channel: numpy is slow where it repeats values along a short axis.
        opacity = np.repeat(MAX_OPACITY * np.sin(heat * np.pi / 2), 3).reshape(color.shape)
        mixed = color * opacity
        mixed += image[strip] * (1 - opacity)
        out[strip] = np.rint(mixed, out=mixed)
    return out


def _tiles(example: Example, scale: tuple[float, float], tile: int) -> dict[str, Image.Image]:
    """Makes image, mask and outlined heat map by title, each centred in tile x tile."""
    height, width = example.image.shape[:2]
    longer = max(height, width)
    size = (max(1, round(tile * width / longer)), max(1, round(tile * height / longer)))
    image = Image.fromarray(example.image).resize(size, Image.Resampling.BICUBIC)
    raw = Image.fromarray(example.anomaly_map.astype(np.float32))
    raw = raw.resize(size, Image.Resampling.BILINEAR)
    hot = overlay(np.asarray(image), np.asarray(raw), scale)
    if example.mask is None:
        return {IMAGE: _centred(image, tile), HEAT: _centred(Image.fromarray(hot), tile)}
    mask = Image.fromarray(example.mask.astype(np.uint8) * 255)
    mask = mask.resize(size, Image.Resampling.NEAREST)
    line = round(tile / TILE)
    draw_outline(hot, np.asarray(mask) > 0, line, line)  # outside the mask: its heat stays visible
    mask = mask.convert("RGB")
    if not example.mask.any():
        word = "mask is empty" if example.defective else "no defect"
        ImageDraw.Draw(mask).text(
            (size[0] / 2, size[1] / 2),
            word,
            fill=(150, 150, 150),
            font=make_font(tile / 16),
            anchor="mm",
        )
    parts = {IMAGE: image, MASK: mask, HEAT: Image.fromarray(hot)}
    return {title: _centred(part, tile) for title, part in parts.items()}


def _centred(part: Image.Image, tile: int) -> Image.Image:
    if part.size == (tile, tile):
        return part
    canvas = Image.new("RGB", (tile, tile), "white")
    canvas.paste(part, ((tile - part.width) // 2, (tile - part.height) // 2))
    return canvas


def draw_panel(example: Example, scale: tuple[float, float]) -> Image.Image:
    """Draws one image: its two or three tiles side by side, caption and legend below."""
    tile = min(max(TILE, *example.image.shape[:2]), 2 * TILE)
    unit = tile / TILE
    gap, line, font = round(8 * unit), round(20 * unit), make_font(15 * unit)
    tiles = _tiles(example, scale, tile)
    last = len(tiles) - 1
    width, top = len(tiles) * (tile + gap) + gap, line + gap
    lines = 4 if example.remarks else 2
    canvas = Image.new("RGB", (width, top + tile + lines * line + 2 * gap), "white")
    draw = ImageDraw.Draw(canvas)
    for column, (title, part) in enumerate(tiles.items()):
        left = gap + column * (tile + gap)
        draw.text((left, gap / 2), title, fill=MUTED, font=font)
        _paste(canvas, part, left, top)
    below = top + tile + gap
    _draw_caption(draw, (gap, below), line, last * tile, font, example)
    _draw_legend(canvas, (gap + last * (tile + gap), below), tile, unit, scale)
    return canvas


def draw_sheet(title: str, examples: list[Example], scale: tuple[float, float]) -> Image.Image:
    """Draws examples side by side, each a column of three tiles with its caption below."""
    gap, line, font = 8, 20, make_font(15)
    margin, top, legend = 108, 56, 380
    columns = min(len(examples), SHEET_COLUMNS)
    block = line + 3 * (TILE + gap) + 4 * line + gap
    num_blocks = -(-len(examples) // SHEET_COLUMNS)
    # Wide enough for the title and the legend even with one column.
    width = margin + max(columns, 3) * (TILE + gap)
    canvas = Image.new("RGB", (width, top + num_blocks * block), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((gap, 14), title, fill=TEXT, font=make_font(22))
    _draw_legend(canvas, (width - legend - gap, gap), legend, 1.0, scale)
    for number, example in enumerate(examples):
        y = top + number // SHEET_COLUMNS * block
        x = margin + number % SHEET_COLUMNS * (TILE + gap)
        draw_text(draw, (x, y), fit_text(example.kind, TILE, font), TEXT, font)
        y += line
        for row, part in _tiles(example, scale, TILE).items():
            if number % SHEET_COLUMNS == 0:
                draw.text((gap, y + TILE / 2), row, fill=MUTED, font=font, anchor="lm")
            _paste(canvas, part, x, y)
            y += TILE + gap
        _draw_caption(draw, (x, y), line, TILE, font, example)
    return canvas


def _paste(canvas: Image.Image, tile: Image.Image, x: int, y: int) -> None:
    """Pastes a tile with a thin frame, which makes the edge of a white image visible."""
    canvas.paste(tile, (x, y))
    ImageDraw.Draw(canvas).rectangle((x - 1, y - 1, x + tile.width, y + tile.height), outline=FRAME)


def _draw_caption(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    line: int,
    width: int,
    font: ImageFont.FreeTypeFont,
    example: Example,
) -> None:
    """Draws name, label, raw score and remarks, on lines no longer than `width`."""
    x, y = corner
    draw_text(draw, (x, y), fit_text(example.name, width, font), TEXT, font)
    x_score = x
    if example.defective is not None:
        label, color = ("defective", DEFECTIVE) if example.defective else ("good", GOOD)
        draw.text((x, y + line), label, fill=color, font=font)
        x_score += draw.textlength(label + "   ", font=font)
    draw.text((x_score, y + line), f"score {example.score}", fill=TEXT, font=font)
    for number, text in enumerate(example.remarks, start=2):
        draw_text(draw, (x, y + number * line), fit_text(text, width, font), MUTED, font)


def _draw_legend(
    canvas: Image.Image,
    corner: tuple[int, int],
    width: int,
    unit: float,
    scale: tuple[float, float],
) -> None:
    """Draws the colours over mid grey, with the raw values of both ends."""
    x, y = corner
    height, font = round(14 * unit), make_font(13 * unit)
    ramp = np.broadcast_to(np.linspace(0, 1, width), (height, width))
    grey = np.full((height, width, 3), 160, dtype=np.uint8)
    canvas.paste(Image.fromarray(overlay(grey, ramp, (0.0, 1.0))), (x, y))
    draw = ImageDraw.Draw(canvas)
    below = y + height + round(3 * unit)
    title = "raw map value" if width < 300 * unit else "raw map value, one scale for all images"
    draw.text((x, below), f"{scale[0]:.3g}", fill=TEXT, font=font)
    draw.text((x + width, below), f"{scale[1]:.3g}", fill=TEXT, font=font, anchor="ra")
    draw.text((x + width / 2, below), title, fill=MUTED, font=font, anchor="ma")
