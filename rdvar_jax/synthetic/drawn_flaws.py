"""Flaws drawn on photographs: what a network answers to things that good parts never show.

They do not look like real defects and need not: they widen the ranges of a network's values, and
show whether two versions of it answer alike where the answer is large.
"""

import numpy as np

from rdvar_jax.synthetic.draws import Draws

KINDS = ("spot", "noise", "moved", "colour", "scratch")


def draw_flaw(pixels: np.ndarray, draws: Draws) -> np.ndarray:
    """Returns a copy of an image with one flaw of a random kind, place, size and strength.

    Args:
        pixels: uint8 [H, W, 3].
        draws: random numbers.
    """
    height, width, _ = pixels.shape
    kind = KINDS[draws.integer(len(KINDS))]
    before = pixels.astype(np.float32)
    inside = _scratch(height, width, draws) if kind == "scratch" else _oval(height, width, draws)
    if kind == "noise":
        flaw = np.float32(128) + np.float32(75) * draws.normals(height, width, 4)[..., :3]
    elif kind == "moved":  # from elsewhere in the same image
        shift = height // 4 + draws.integer(max(1, height // 2))
        flaw = np.roll(before, (shift, width // 4 + draws.integer(max(1, width // 2))), (0, 1))
    else:
        low, high = (0, 255) if kind == "colour" else (0, 60) if draws.sign() < 0 else (195, 255)
        flaw = np.array([draws.uniform(low, high) for _ in range(3)], np.float32)
    cover = inside[..., None] * np.float32(draws.uniform(0.4, 1))
    return np.clip(before + (flaw - before) * cover, 0, 255).astype(np.uint8)


def _oval(height: int, width: int, draws: Draws) -> np.ndarray:
    """Returns a turned oval with soft edges, 0 to 1, float32 [height, width]."""
    size = 0.03 * (0.25 / 0.03) ** draws.uniform()  # half of its sides, in image sides
    stretch = np.sqrt(draws.uniform(0.3, 3))
    along, across = _turned(height, width, draws)
    return _soft(np.hypot(along / (size * stretch), across * stretch / size))


def _scratch(height: int, width: int, draws: Draws) -> np.ndarray:
    """Returns a thin bent line with soft edges, 0 to 1, float32 [height, width]."""
    along, across = _turned(height, width, draws)
    across = across + draws.uniform(-0.3, 0.3) * along * along
    return _soft(np.hypot(along / draws.uniform(0.1, 0.4), across / draws.uniform(0.004, 0.015)))


def _turned(height: int, width: int, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
    """Returns each pixel's place along and across a random axis, in image sides."""
    rows = (np.arange(height)[:, None] + 0.5) / height - draws.uniform(0.15, 0.85)
    columns = (np.arange(width)[None, :] + 0.5) / width - draws.uniform(0.15, 0.85)
    angle = draws.uniform(0, np.pi)
    cosine, sine = np.cos(angle), np.sin(angle)
    return columns * cosine + rows * sine, rows * cosine - columns * sine


def _soft(distance: np.ndarray) -> np.ndarray:
    return np.clip((1.1 - distance) / 0.2, 0, 1).astype(np.float32)
