"""Pictures of one predicted image: heat map, overlay and mask."""

from pathlib import Path

import numpy as np
from PIL import Image

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
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_panel(example, scale).save(path, format="PNG")


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
    path.parent.mkdir(parents=True, exist_ok=True)
    # Level 1 takes a fifth of the default's time and a tenth more space.
    Image.fromarray(hot).save(path, format="PNG", compress_level=1)


def save_mask(path: Path, above: np.ndarray) -> None:
    """Writes bool [H, W] as a grey PNG: 255 where defective, else 0.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(above.astype(np.uint8) * 255).save(path, format="PNG")
