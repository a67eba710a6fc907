"""Camera model: lens, sensor and 8-bit quantisation."""

import numpy as np
from PIL import Image

from rdvar_jax.synthetic.draws import Draws
from rdvar_jax.synthetic.fields import Frame
from rdvar_jax.synthetic.light import Light

_GAMMA = 2.2
_KNEE = 0.8  # above it a camera's curve bends: highlights roll off instead of clipping
_VIGNETTING = 0.3


def photograph(radiance: np.ndarray, light: Light, size: int, draws: Draws) -> np.ndarray:
    """Converts linear light [W, W, 3] to uint8 [size, size, 3].

    The exposure is fixed, not measured, so that a defect changes nothing else in the picture.
    """
    image = _through_lens(radiance, size)
    frame = Frame.of_image(size)
    offset2 = (frame.u - np.float32(0.5)) ** 2 + (frame.v - np.float32(0.5)) ** 2
    image *= (1 - np.float32(_VIGNETTING) * offset2)[..., None]
    image *= np.array([1 + light.warmth, 1, 1 - light.warmth], np.float32)
    grey = np.maximum(image, 0) ** np.float32(1 / _GAMMA)
    room = np.float32(1 - _KNEE)
    over = np.maximum(grey - np.float32(_KNEE), 0)
    grey = np.minimum(grey, np.float32(_KNEE)) + room * np.tanh(over / room)
    grey += _grain(grey, draws)
    return np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8)


def _through_lens(radiance: np.ndarray, size: int) -> np.ndarray:
    # Pillow's bilinear filter spans two pixels of the result: a lens as sharp as its sensor.
    channels = np.ascontiguousarray(np.moveaxis(radiance, -1, 0), np.float32)
    lens = Image.Resampling.BILINEAR
    small = [Image.fromarray(channel).resize((size, size), lens) for channel in channels]
    return np.stack([np.asarray(channel) for channel in small], axis=-1)


def _grain(grey: np.ndarray, draws: Draws) -> np.ndarray:
    """Makes sensor noise: mostly shared by the three channels, stronger in bright places."""
    size = grey.shape[0]
    common = draws.normals(size, size, 1) * np.float32(0.006)
    coloured = draws.normals(size, size, 3) * np.float32(0.005)
    return (common + coloured) * (np.float32(0.6) + np.float32(0.5) * np.sqrt(grey))
