"""Files of one predicted image: heat map, overlay, mask and raw map."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rdvar_jax.files.replacing import whole_or_none
from rdvar_jax.report.lettering import printable
from rdvar_jax.report.panels import Example, draw_panel, overlay

STRIP_PIXELS = 1 << 18  # drawn at once, so that large images need little extra memory


def save_heat_map(
    path: Path,
    image: np.ndarray,
    anomaly_map: np.ndarray,
    name: str,
    score: float,
    scale: tuple[float, float],
) -> None:
    """Writes image and heat map side by side, with the name, the score and the colour scale.

    Args:
        path: the PNG; its folder is created if missing.
        image: uint8 [H, W, 3].
        anomaly_map: float [H, W], raw.
        name: of the image, for the caption.
        score: raw.
        scale: the raw values of no heat and of full heat.

    Raises:
        OSError: the file cannot be written.
    """
    example = Example(image, anomaly_map, printable(name), f"{score:.4g}")
    _save(draw_panel(example, scale), path)


def save_overlay(
    path: Path, picture: np.ndarray, anomaly_map: np.ndarray, scale: tuple[float, float]
) -> None:
    """Writes an image at its own size with the heat laid over it.

    Args:
        path: the PNG; its folder is created if missing.
        picture: uint8 [H, W, 3].
        anomaly_map: float [H, W], raw, at the picture's size.
        scale: the raw values of no heat and of full heat.

    Raises:
        OSError: the file cannot be written.
    """
    hot = np.empty_like(picture)
    rows = max(1, STRIP_PIXELS // picture.shape[1])
    for top in range(0, len(picture), rows):
        strip = slice(top, top + rows)
        hot[strip] = overlay(picture[strip], anomaly_map[strip], scale)
    # Level 1 takes a fifth of the default's time and a tenth more space.
    _save(Image.fromarray(hot), path, compress_level=1)


def save_mask(path: Path, above: np.ndarray) -> None:
    """Writes bool [H, W] as a grey PNG: 255 where defective, else 0.

    Raises:
        OSError: the file cannot be written.
    """
    _save(Image.fromarray(above.astype(np.uint8) * 255), path)


def save_map(path: Path, anomaly_map: np.ndarray) -> None:
    """Writes a raw map as .npy.

    Raises:
        OSError: the file cannot be written.
    """
    content = io.BytesIO()  # because np.save to a file drops the reason of a failure
    np.save(content, anomaly_map)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_or_none(path):
        path.write_bytes(content.getbuffer())


def _save(picture: Image.Image, path: Path, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_or_none(path):
        picture.save(path, format="PNG", **options)
