"""The picture of one image that nothing is known about but its score and map."""

from pathlib import Path

import numpy as np

from rdvar_jax.report.panels import Example, draw_panel, printable


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
        path: the PNG; its folder is made if missing.
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
