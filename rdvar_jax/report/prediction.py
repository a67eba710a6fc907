"""Files of one predicted image: heat map, overlay, mask and raw map."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from rdvar_jax.files.replacing import whole_or_none
from rdvar_jax.report.caption import Caption, draw_strip
from rdvar_jax.report.gallery import QUALITY, make_thumbnails
from rdvar_jax.report.lettering import printable
from rdvar_jax.report.outline import draw_outline
from rdvar_jax.report.panels import Example, draw_panel, overlay
from rdvar_jax.report.png_file import write_png
from rdvar_jax.report.prediction_files import DEFECTIVE

SIDE_PER_LINE = 400  # an image's longer side per width of each line of an outline


def save_heat_map(
    path: Path,
    image: np.ndarray,
    anomaly_map: np.ndarray,
    name: str,
    caption: Caption,
    scale: tuple[float, float],
) -> None:
    """Writes image and heat map side by side, with name, verdict, score and colour scale.

    Args:
        path: the PNG; its folder is created if missing.
        image: uint8 [H, W, 3].
        anomaly_map: float [H, W], raw.
        name: of the image, for the caption.
        caption: verdict and score.
        scale: the raw values of no heat and of full heat.

    Raises:
        OSError: the file cannot be written.
    """
    defective = None if caption.verdict is None else caption.verdict == DEFECTIVE
    score, threshold = caption.numbers()
    remarks = [] if threshold is None else [f"threshold {threshold}"]
    example = Example(
        image, anomaly_map, printable(name), score, defective=defective, remarks=remarks
    )
    _save_png(np.asarray(draw_panel(example, scale)), path)


def draw_overlay(
    picture: np.ndarray,
    anomaly_map: np.ndarray,
    scale: tuple[float, float],
    above: np.ndarray | None,
    caption: Caption,
) -> np.ndarray:
    """Draws an image at its own size under its heat, with outlines, and a strip below it.

    The upper left corner is the image's, so a box of `scores.csv` is at the same pixels. The result
    is higher than the image by the strip, and wider only where the image is too narrow for text.

    Args:
        picture: uint8 [H, W, 3].
        anomaly_map: float [H, W], raw, at the picture's size.
        scale: the raw values of no heat and of full heat.
        above: bool [H, W], true in the regions to outline, or None.
        caption: text of the strip.

    Returns:
        uint8 [h, w, 3].
    """
    height, width = picture.shape[:2]
    below = draw_strip(caption, width, height)
    hot = np.empty((height + len(below), below.shape[1], 3), np.uint8)
    hot[:] = below[0, 0]
    hot[height:] = below
    overlay(picture, anomaly_map, scale, out=hot[:height, :width])
    if above is not None:
        line = max(1, round(max(height, width) / SIDE_PER_LINE))
        draw_outline(hot[:height, :width], above, line, line)
    return hot


def save_overlay(
    path: Path,
    picture: np.ndarray,
    anomaly_map: np.ndarray,
    scale: tuple[float, float],
    above: np.ndarray | None,
    caption: Caption,
) -> None:
    """Writes the picture of `draw_overlay` as a PNG.

    Args:
        path: the PNG; its folder is created if missing.
        picture, anomaly_map, scale, above, caption: see `draw_overlay`.

    Raises:
        OSError: the file cannot be written.
    """
    _save_png(draw_overlay(picture, anomaly_map, scale, above, caption), path)


def save_thumbnails(
    plain: Path,
    heat: Path,
    picture: np.ndarray,
    anomaly_map: np.ndarray,
    scale: tuple[float, float],
    above: np.ndarray | None,
) -> None:
    """Writes two small JPEGs of an image for a page: plain, and under its heat with outlines.

    Args:
        plain, heat: the files; their folders are created if missing.
        picture, anomaly_map, scale, above: see `draw_overlay`.

    Raises:
        OSError: a file cannot be written.
    """
    for path, small in zip(
        (plain, heat), make_thumbnails(picture, anomaly_map, above, scale), strict=True
    ):
        with _new_file(path):
            small.save(path, format="JPEG", quality=QUALITY)


def save_mask(path: Path, above: np.ndarray) -> None:
    """Writes bool [H, W] as a grey PNG: 255 where defective, else 0.

    Raises:
        OSError: the file cannot be written.
    """
    _save_png(above.astype(np.uint8) * 255, path)


def save_map(path: Path, anomaly_map: np.ndarray) -> None:
    """Writes a raw map as .npy.

    Raises:
        OSError: the file cannot be written.
    """
    content = io.BytesIO()  # because np.save to a file drops the reason of a failure
    np.save(content, anomaly_map)
    with _new_file(path):
        path.write_bytes(content.getbuffer())


def _save_png(pixels: np.ndarray, path: Path) -> None:
    with _new_file(path), path.open("wb") as file:
        write_png(file, pixels)


@contextmanager
def _new_file(path: Path) -> Iterator[None]:
    """Makes the file's folder, and removes the file after an error in the block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_or_none(path):
        yield
