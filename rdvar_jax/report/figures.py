"""Panels of image, mask and heat map, as in Fig. 3 of the RDVar paper, worst errors first.

One colour scale serves all images of a set, so that their heat maps can be compared: it runs
from the median of all map values (half of all pixels stay as they are in the photograph) to
their 99.9th percentile (one extreme pixel does not dim all other images). Labels play no part
in it. Values outside take the colour of the nearer end; the two raw values stand in the legend.
"""

import os
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont, PngImagePlugin

from rdvar_jax.errors import UserError

TILE = 256  # pixels a side in sheets; single images are drawn at this up to twice this
SHEET_COLUMNS = 6
TITLES = ("image", "mask", "anomaly map")
MAX_OPACITY = 0.8
TEXT, MUTED, FRAME = (33, 37, 41), (108, 117, 125), (206, 212, 218)
GOOD, DEFECTIVE = (25, 110, 60), (176, 32, 32)
OWN_MARK = b"rdvar_jax figures"  # in the header of each file, so that only own files are cleared
OWN_NAME = re.compile(r"(\d{3,}_.*|worst|overview)\.png")


@dataclass(frozen=True)
class _Example:
    """One image of the set with what its caption says."""

    image: np.ndarray
    mask: np.ndarray
    anomaly_map: np.ndarray
    name: str
    kind: str
    defective: bool
    score: str
    remarks: list[str]


def save_figures(
    folder: str | os.PathLike[str],
    images: np.ndarray,
    masks: np.ndarray,
    maps: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    max_figures: int | None = None,
) -> list[Path]:
    """Draw a test set: one PNG for each of the worst images, and two sheets.

    - `000_<defect>_<stem>.png`, `001_...`: image, mask and heat map of one image with the mask's
      outline, worst error first. The error of an image is the share of the images of the other
      class that its score puts on the wrong side of it, ties counting half; equal shares are
      ordered by the margin to the other class's most extreme score, smallest first. With one
      class only: highest score first for good images, lowest first for defective ones.
    - `worst.png`: the first six of that order side by side.
    - `overview.png`: of each kind of defect, and of the good images, the one with the median
      score (the lower one of two).

    PNGs that an earlier call left in the folder are removed; other files are not touched,
    unless they carry one of the names above.

    Args:
        folder: made if missing.
        images: uint8 [N, S, S, 3].
        masks: bool [N, S, S], true where defective.
        maps: float [N, S, S], raw anomaly maps, finite.
        scores: float [N], raw image scores, finite, higher is more anomalous.
        labels: bool or 0/1 [N], true for a defective image.
        names: N names such as `scratch/003.png`. The last folder is the kind of defect; without
            one the kind is `good` or `defective`.
        max_figures: how many single images to draw, None for all; the sheets are always drawn.

    Returns:
        The files written: single images, worst first, then `worst.png` and `overview.png`.
        Nothing for a set without images.

    Raises:
        UserError: the folder cannot be made or written.
        ValueError: shapes do not fit, or maps or scores hold nan or infinity, or max_figures is
            negative.
    """
    images, masks, maps = np.asarray(images), np.asarray(masks, dtype=bool), np.asarray(maps)
    scores, labels = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=bool)
    _check(images, masks, maps, scores, labels, names)
    if max_figures is not None and max_figures < 0:
        raise ValueError(f"max_figures must not be negative, it is {max_figures}")
    folder = Path(folder)
    _prepare(folder)
    if len(images) == 0:
        return []
    error, order = worst_first(scores, labels)
    rank = 1 + len(scores) - np.searchsorted(np.sort(scores), scores, side="right")
    kinds = [_kind(name, label) for name, label in zip(names, labels, strict=True)]

    def example(i: int) -> _Example:
        return _Example(
            image=images[i],
            mask=masks[i],
            anomaly_map=maps[i],
            name=_printable(names[i]),
            kind=_printable(kinds[i]),
            defective=bool(labels[i]),
            score=f"{scores[i]:.4g}",
            remarks=[
                f"rank {rank[i]} of {len(scores)} (1 = most anomalous)",
                *_describe_error(error[i], labels[i], bool(labels.any() and not labels.all())),
            ],
        )

    scale = color_scale(maps)
    shown = [int(i) for i in order[:max_figures]]
    digits = max(3, len(str(len(shown) - 1)))
    written = []
    for place, i in enumerate(shown):
        stem = PurePosixPath(names[i].replace("\\", "/")).stem
        file_name = f"{place:0{digits}d}_{_safe(kinds[i])}_{_safe(stem)}.png"
        written.append(_save(_draw_panel(example(i), scale), folder / file_name))
    worst = [example(i) for i in order[:SHEET_COLUMNS].tolist()]
    sheet = _draw_sheet("Worst ranked images first", worst, scale)
    written.append(_save(sheet, folder / "worst.png"))
    typical = [example(i) for i in _median_of_kinds(kinds, scores, labels)]
    sheet = _draw_sheet("Typical: the median score of each kind", typical, scale)
    written.append(_save(sheet, folder / "overview.png"))
    return written


def worst_first(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How wrong each score is, and the order that `save_figures` describes.

    Args:
        scores: float64 [N].
        labels: bool [N].

    Returns:
        The error of each image, float64 [N] in 0..1 (0 when there is only one class), and the
        images' positions from worst to best, int64 [N].
    """
    # Turned so that higher is always worse: good images as they are, defective ones negated.
    badness = np.where(labels, -scores, scores)
    error, margin = np.zeros(len(scores)), -badness
    for label in (False, True):
        own, others = labels == label, np.sort(-badness[labels != label])
        if len(others):
            below = np.searchsorted(others, badness[own], side="left")
            up_to = np.searchsorted(others, badness[own], side="right")
            error[own] = (below + up_to) / (2 * len(others))
            margin[own] = others[0] - badness[own]
    return error, np.lexsort((margin, -error))


def color_scale(maps: np.ndarray) -> tuple[float, float]:
    """The two raw map values [any shape] at the ends of the scale: median, 99.9th percentile."""
    low, high = np.percentile(maps, (50, 99.9))
    return float(low), float(high)


def overlay(image: np.ndarray, anomaly_map: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    """Lay the heat over the image, the more opaque the hotter, so that the part stays visible.

    Args:
        image: uint8 [S, S, 3].
        anomaly_map: float [S, S].
        scale: the raw values of no heat and of full heat, as from `color_scale`.

    Returns:
        uint8 [S, S, 3].
    """
    import matplotlib

    low, high = scale
    span = high - low if high > low else 1.0
    heat = np.clip((anomaly_map - low) / span, 0.0, 1.0)
    color = matplotlib.colormaps["turbo"](heat)[..., :3] * 255
    opacity = MAX_OPACITY * np.sin(heat * np.pi / 2)[..., None]
    return np.round(image * (1 - opacity) + color * opacity).astype(np.uint8)


def _check(
    images: np.ndarray,
    masks: np.ndarray,
    maps: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
) -> None:
    count, size = len(images), images.shape[1:2]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (*size, *size, 3):
        raise ValueError(f"images must be uint8 [N, S, S, 3], not {images.dtype} {images.shape}")
    if masks.shape != images.shape[:3] or maps.shape != images.shape[:3]:
        raise ValueError(f"masks {masks.shape} and maps {maps.shape} must be {images.shape[:3]}")
    if scores.shape != (count,) or labels.shape != (count,) or len(names) != count:
        raise ValueError(f"{count} images need as many scores, labels and names")
    if not (np.isfinite(maps).all() and np.isfinite(scores).all()):
        raise ValueError("maps and scores must be finite, some are nan or infinite")


def _kind(name: str, label: bool) -> str:
    folders = PurePosixPath(name.replace("\\", "/")).parent.name
    return folders or ("defective" if label else "good")


def _median_of_kinds(kinds: list[str], scores: np.ndarray, labels: np.ndarray) -> list[int]:
    """The image with the (lower) median score of each kind: good first, then by name."""
    chosen = []
    for label, kind in sorted(
        {(bool(label), kind) for label, kind in zip(labels, kinds, strict=True)}
    ):
        members = [i for i in range(len(kinds)) if (bool(labels[i]), kinds[i]) == (label, kind)]
        members.sort(key=lambda i: scores[i])
        chosen.append(members[(len(members) - 1) // 2])
    return chosen


def _describe_error(error: float, defective: bool, both_classes: bool) -> list[str]:
    if not both_classes:
        return []
    other = "good" if defective else "defective"
    if error in (0, 1):
        return [f"{'above' if defective == (error == 0) else 'below'} all {other} images"]
    side = "below" if defective else "above"
    return [f"{side} {100 * error:.3g} % of {other} images"]


def _printable(text: str) -> str:
    """What a font can draw on one line: control characters and lone surrogates replaced."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _safe(text: str) -> str:
    """A part of a file name that every file system takes."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[:60].strip("-.") or "unnamed"


def _tiles(example: _Example, scale: tuple[float, float], tile: int) -> list[Image.Image]:
    """Image, mask and outlined heat map at tile x tile pixels."""
    size = (tile, tile)
    image = Image.fromarray(example.image).resize(size, Image.Resampling.BICUBIC)
    mask = Image.fromarray(example.mask.astype(np.uint8) * 255)
    mask = mask.resize(size, Image.Resampling.NEAREST)
    raw = Image.fromarray(example.anomaly_map.astype(np.float32))
    raw = raw.resize(size, Image.Resampling.BILINEAR)
    hot = overlay(np.asarray(image), np.asarray(raw), scale)
    # White beside black stands out on every colour. Both lie outside the mask, whose heat they
    # would hide.
    grown, line = mask, round(tile / TILE)
    for color in [255] * line + [0] * line:
        inside, grown = grown, grown.filter(ImageFilter.MaxFilter(3))
        hot[(np.asarray(grown) > 0) & (np.asarray(inside) == 0)] = color
    mask = mask.convert("RGB")
    if not example.mask.any():
        word = "mask is empty" if example.defective else "no defect"
        ImageDraw.Draw(mask).text(
            (tile / 2, tile / 2), word, fill=(150, 150, 150), font=_font(tile / 16), anchor="mm"
        )
    return [image, mask, Image.fromarray(hot)]


def _draw_panel(example: _Example, scale: tuple[float, float]) -> Image.Image:
    """One image: three tiles side by side, caption and legend below."""
    tile = min(max(TILE, len(example.image)), 2 * TILE)
    unit = tile / TILE
    gap, line, font = round(8 * unit), round(20 * unit), _font(15 * unit)
    width, top = 3 * tile + 4 * gap, line + gap
    canvas = Image.new("RGB", (width, top + tile + 4 * line + 2 * gap), "white")
    draw = ImageDraw.Draw(canvas)
    for column, (title, part) in enumerate(zip(TITLES, _tiles(example, scale, tile), strict=True)):
        left = gap + column * (tile + gap)
        draw.text((left, gap / 2), title, fill=MUTED, font=font)
        _paste(canvas, part, left, top)
    below = top + tile + gap
    _draw_caption(draw, (gap, below), line, 2 * tile, font, example)
    _draw_legend(canvas, (gap + 2 * (tile + gap), below), tile, unit, scale)
    return canvas


def _draw_sheet(title: str, examples: list[_Example], scale: tuple[float, float]) -> Image.Image:
    """Examples side by side, each a column of three tiles with its caption below."""
    gap, line, font = 8, 20, _font(15)
    margin, top, legend = 108, 56, 380
    columns = min(len(examples), SHEET_COLUMNS)
    block = line + 3 * (TILE + gap) + 4 * line + gap
    num_blocks = -(-len(examples) // SHEET_COLUMNS)
    # Wide enough for the title and the legend even with one column.
    width = margin + max(columns, 3) * (TILE + gap)
    canvas = Image.new("RGB", (width, top + num_blocks * block), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((gap, 14), title, fill=TEXT, font=_font(22))
    _draw_legend(canvas, (width - legend - gap, gap), legend, 1.0, scale)
    for number, example in enumerate(examples):
        y = top + number // SHEET_COLUMNS * block
        x = margin + number % SHEET_COLUMNS * (TILE + gap)
        draw.text((x, y), _fit(example.kind, TILE, font), fill=TEXT, font=font)
        y += line
        for row, part in zip(TITLES, _tiles(example, scale, TILE), strict=True):
            if number % SHEET_COLUMNS == 0:
                draw.text((gap, y + TILE / 2), row, fill=MUTED, font=font, anchor="lm")
            _paste(canvas, part, x, y)
            y += TILE + gap
        _draw_caption(draw, (x, y), line, TILE, font, example)
    return canvas


def _paste(canvas: Image.Image, tile: Image.Image, x: int, y: int) -> None:
    """With a thin frame, without which a white image has no edge on the page."""
    canvas.paste(tile, (x, y))
    ImageDraw.Draw(canvas).rectangle((x - 1, y - 1, x + tile.width, y + tile.height), outline=FRAME)


def _draw_caption(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    line: int,
    width: int,
    font: ImageFont.FreeTypeFont,
    example: _Example,
) -> None:
    """Name, label, raw score and rank, on lines no longer than `width`."""
    x, y = corner
    draw.text((x, y), _fit(example.name, width, font), fill=TEXT, font=font)
    label = "defective" if example.defective else "good"
    draw.text((x, y + line), label, fill=DEFECTIVE if example.defective else GOOD, font=font)
    x_after = x + draw.textlength(label + "   ", font=font)
    draw.text((x_after, y + line), f"score {example.score}", fill=TEXT, font=font)
    for number, text in enumerate(example.remarks, start=2):
        draw.text((x, y + number * line), _fit(text, width, font), fill=MUTED, font=font)


def _draw_legend(
    canvas: Image.Image,
    corner: tuple[int, int],
    width: int,
    unit: float,
    scale: tuple[float, float],
) -> None:
    """The colours as they look on mid grey, with the raw values of both ends."""
    x, y = corner
    height, font = round(14 * unit), _font(13 * unit)
    ramp = np.broadcast_to(np.linspace(0, 1, width), (height, width))
    grey = np.full((height, width, 3), 160, dtype=np.uint8)
    canvas.paste(Image.fromarray(overlay(grey, ramp, (0.0, 1.0))), (x, y))
    draw = ImageDraw.Draw(canvas)
    below = y + height + round(3 * unit)
    title = "raw map value" if width < 300 * unit else "raw map value, one scale for all images"
    draw.text((x, below), f"{scale[0]:.3g}", fill=TEXT, font=font)
    draw.text((x + width, below), f"{scale[1]:.3g}", fill=TEXT, font=font, anchor="ra")
    draw.text((x + width / 2, below), title, fill=MUTED, font=font, anchor="ma")


def _font(size: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size=size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _fit(text: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    """Shorten a text that is too long at its front: the end of a path tells more."""
    if font.getlength(text) <= width:
        return text
    start = bisect_left(
        range(len(text)), True, key=lambda i: font.getlength("..." + text[i:]) <= width
    )
    return "..." + text[start:]


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("*.png"):
            if OWN_NAME.fullmatch(path.name) and path.is_file():
                with path.open("rb") as file:
                    own = OWN_MARK in file.read(128)
                if own:
                    path.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from error


def _save(canvas: Image.Image, path: Path) -> Path:
    """Write beside the place and move there: no reader meets half a picture."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Software", OWN_MARK.decode())
    partial = path.with_name(".figure.partial")
    try:
        canvas.save(partial, format="PNG", pnginfo=info)
        partial.replace(path)
    except OSError as error:
        raise _unwritable(path.parent, error) from error
    return path


def _unwritable(folder: Path, error: OSError) -> UserError:
    reason = error.strerror or str(error)
    return UserError(
        f"cannot write figures to {folder} ({reason}): choose a folder that can be written"
    )
