"""Pictures of the images with the worst errors, small enough to embed in a page."""

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from rdvar_jax.report.image_set import Images
from rdvar_jax.report.outline import draw_outline, rings
from rdvar_jax.report.panels import overlay

NUM_PICTURES = 12  # of each class
SIDE = 320
QUALITY = 80


def make_gallery(
    images: Images,
    masks: np.ndarray | None,
    maps: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray | None,
    scale: tuple[float, float],
    number: int = NUM_PICTURES,
) -> list[dict[str, Any]]:
    """Draws the defective images with the lowest scores and the good ones with the highest.

    Args:
        images: uint8 [N, H, W, 3].
        masks: bool [N, H, W], true where defective, or None.
        maps: float [N, H, W], raw anomaly maps.
        scores: float [N], raw.
        labels: 0/1 [N], 1 for a defective image; None if unknown: then those with the highest
            scores.
        scale: the raw map values of no heat and of full heat.
        number: of each class, at most.

    Returns:
        For each picture its index `row` in the arrays, and as data URIs, `SIDE` pixels on the
        longer side, `image`, `heat` (the image under its heat map) and `outline` (of the true
        defect, on a transparent background, or None). Defective images come first, in each class
        the worst errors first.
    """
    return [
        {
            "row": row,
            "image": data_uri(small),
            "heat": data_uri(Image.fromarray(_heat(small, maps[row], scale))),
            "outline": None if masks is None or not masks[row].any() else _outline(masks[row]),
        }
        for row in worst_rows(scores, labels, number)
        for small in [resize(images[row])]
    ]


def worst_rows(scores: np.ndarray, labels: np.ndarray | None, number: int) -> list[int]:
    """Returns up to `number` rows of each class in the order of `make_gallery`."""
    rising = np.argsort(scores, kind="stable")
    if labels is None:
        return rising[::-1][:number].tolist()
    defective = np.asarray(labels)[rising] == 1
    missed, alarms = rising[defective][:number], rising[~defective][::-1][:number]
    return [*missed.tolist(), *alarms.tolist()]


def make_thumbnails(
    picture: np.ndarray,
    anomaly_map: np.ndarray,
    above: np.ndarray | None,
    scale: tuple[float, float],
) -> tuple[Image.Image, Image.Image]:
    """Draws a predicted image, plain and under its heat with the outline of its regions.

    Args:
        picture: uint8 [H, W, 3].
        anomaly_map: float [H, W], raw; not finite where it has no heat.
        above: bool [H, W], true where defective, or None.
        scale: the raw map values of no heat and of full heat.

    Returns:
        Both with `SIDE` pixels on the longer side.
    """
    plain = resize(picture)
    heat = _heat(plain, np.clip(anomaly_map, *scale), scale)
    if above is not None and above.any():
        draw_outline(heat, _shrunk(above), 2, 1)
    return plain, Image.fromarray(heat)


def resize(image: np.ndarray) -> Image.Image:
    """Resizes uint8 [H, W, 3] to `SIDE` pixels on its longer side."""
    # Halved coarsely first where it is much larger, which takes a tenth of the time.
    return Image.fromarray(image).resize(_size(image), Image.Resampling.BICUBIC, reducing_gap=3)


def data_uri(picture: Image.Image, **options: Any) -> str:
    """Encodes a picture as a WebP data URI."""
    file = io.BytesIO()
    picture.save(file, format="WebP", **(options or {"quality": QUALITY}))
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _size(image: np.ndarray) -> tuple[int, int]:
    """Returns width and height in the page of an image, map or mask [H, W, ...]."""
    height, width = image.shape[:2]
    scale = SIDE / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _heat(small: Image.Image, anomaly_map: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    """Returns a resized picture under the heat of its map, uint8 [h, w, 3]."""
    raw = Image.fromarray(np.asarray(anomaly_map, np.float32))
    raw = raw.resize(small.size, Image.Resampling.BILINEAR)
    return overlay(np.asarray(small), np.asarray(raw), scale)


def _outline(mask: np.ndarray) -> str:
    """Outlines the mask in white and black, of which one is visible on any colour."""
    small = _shrunk(mask)
    lines = np.zeros((*small.shape, 4), np.uint8)
    for ring, value in zip(rings(small, 2, 1), (255, 0), strict=True):
        lines[ring] = (value, value, value, 255)
    return data_uri(Image.fromarray(lines), lossless=True)


def _shrunk(mask: np.ndarray) -> np.ndarray:
    """Resizes a mask, bool [H, W]; a pixel is marked if any that it replaces is."""
    marked = Image.fromarray(mask.astype(np.float32)).resize(_size(mask), Image.Resampling.BOX)
    return np.asarray(marked) > 0
