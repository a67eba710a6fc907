"""Fig. 3: the same test images with the heat maps of RD and of RD + L_var beside each other."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from rdvar_jax.report.lettering import draw_text, make_font, printable
from rdvar_jax.report.panels import MUTED, TILE, overlay
from rdvar_jax.report.scale import color_scale
from reproduction.experiments import RD, RD_L_VAR
from reproduction.report import Picture
from reproduction.sweep import Outcome

GAP, LINE, NAME_LINE = 8, 24, 20
NOTE = (
    "The images are the first of each kind of defect, whatever their scores. One colour scale "
    "serves both columns of heat maps."
)
TITLES = ("image", "true defect", RD.name, RD_L_VAR.name)


def draw_panels(outcomes: Sequence[Outcome], folder: Path) -> list[Picture]:
    """One PNG a category, of the first seed that both variants have.

    The images are those that a run kept: the first of each kind of defect. The colour scale is
    from the median to the 99.9th percentile of the maps that are shown, of both variants.
    """
    pictures = []
    for category in dict.fromkeys(outcome.category for outcome in outcomes):
        seeds = [
            {o.seed: o for o in outcomes if (o.variant, o.category) == (variant.name, category)}
            for variant in (RD, RD_L_VAR)
        ]
        common = sorted(set(seeds[0]) & set(seeds[1]))
        if common:
            seed = common[0]
            first, second = (np.load(of[seed].run.examples) for of in seeds)
            path = folder / f"{category}.png"
            _draw(first, second).save(path)
            text = f"{category}, seed {seed}: image, true defect, heat of RD and of RD + L_var"
            pictures.append(Picture(path.name, text))
    return pictures


def _draw(first: np.lib.npyio.NpzFile, second: np.lib.npyio.NpzFile) -> Image.Image:
    names, images, masks = first["names"], first["images"], first["masks"]
    maps = first["maps"], second["maps"]
    scale = color_scale(np.stack(maps))
    columns, rows = len(TITLES), len(names)
    height = LINE + rows * (TILE + NAME_LINE + GAP) + LINE
    canvas = Image.new("RGB", (GAP + columns * (TILE + GAP), height), "white")
    draw, font = ImageDraw.Draw(canvas), make_font(15)
    for column, title in enumerate(TITLES):
        draw.text((GAP + column * (TILE + GAP), 4), title, fill="black", font=font)
    for row, name in enumerate(names):
        top = LINE + row * (TILE + NAME_LINE + GAP)
        mask = np.repeat(masks[row][..., None] * np.uint8(255), 3, axis=-1)
        hot = [overlay(images[row], of[row], scale) for of in maps]
        for column, tile in enumerate((images[row], mask, *hot)):
            picture = Image.fromarray(tile).resize((TILE, TILE), Image.Resampling.BICUBIC)
            canvas.paste(picture, (GAP + column * (TILE + GAP), top))
        draw_text(draw, (GAP, top + TILE + 2), printable(str(name)), MUTED, font)
    legend = f"no colour: map value {scale[0]:.3g}; red: {scale[1]:.3g} and more, in both columns"
    draw.text((GAP, height - LINE), legend, fill="#6c757d", font=font)
    return canvas
