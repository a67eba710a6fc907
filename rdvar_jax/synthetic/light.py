"""Shading: a lamp, reflections and shadows on a surface."""

from dataclasses import dataclass

import numpy as np

from rdvar_jax.synthetic.draws import Draws
from rdvar_jax.synthetic.fields import Frame, blurred
from rdvar_jax.synthetic.surface import Surface, slopes

_Vectors = tuple[np.ndarray, np.ndarray, np.ndarray]

_EYE_HEIGHT = 2.4  # of the camera; its finite distance matters only for reflections
_FILM_ROUGH = 0.13


@dataclass(frozen=True)
class Light:
    """A lamp and the ambient light."""

    lamp: tuple[float, float, float]  # position in image widths; z towards the camera
    key: float  # strength of the lamp
    fill: float  # ambient light
    warmth: float  # 0 neutral, 0.05 warm, -0.05 cold

    @classmethod
    def drawn(cls, draws: Draws, azimuth: float, height: float, key: float, fill: float) -> "Light":
        """Draws a lamp near the given position; azimuth in radians, 0 right, pi / 2 below."""
        azimuth += draws.normal(0.16)
        distance = 1.1 + draws.normal(0.07)
        level = 1 + draws.normal(0.05)
        x, y = 0.5 + distance * float(np.cos(azimuth)), 0.5 + distance * float(np.sin(azimuth))
        return cls(
            lamp=(x, y, height * (1 + draws.normal(0.08))),
            key=key * level,
            fill=fill * level * (1 + draws.normal(0.05)),
            warmth=draws.normal(0.012),
        )

    def direction(self) -> tuple[float, float]:
        """Returns the unit vector in the image from its middle towards the lamp."""
        x, y = self.lamp[0] - 0.5, self.lamp[1] - 0.5
        length = float(np.hypot(x, y))
        return x / length, y / length


def shade(surface: Surface, light: Light) -> np.ndarray:
    """Computes the light that reaches the camera, linear float32 [W, W, 3]; 1 is white."""
    frame = Frame.of_image(surface.height.shape[0])
    normal = _normals(surface.height)
    to_lamp = _unit(light.lamp[0] - frame.u, light.lamp[1] - frame.v, np.float32(light.lamp[2]))
    to_eye = _unit(0.5 - frame.u, 0.5 - frame.v, np.float32(_EYE_HEIGHT))
    half = _unit(to_lamp[0] + to_eye[0], to_lamp[1] + to_eye[1], to_lamp[2] + to_eye[2])
    facing = np.maximum(_dot(normal, to_lamp), 0)
    soft = light.key * facing + light.fill * (np.float32(0.6) + np.float32(0.4) * normal[2])
    mirrored = light.key * _lobe(surface, normal, half) + _room(normal, light)
    radiance = surface.diffuse * (soft * surface.visible)[..., None]
    tint = np.array(surface.tint, np.float32)
    radiance += (mirrored * surface.gloss * surface.visible)[..., None] * tint
    if surface.film is not None:
        radiance = _under_film(radiance, surface.film, light, half)
    return radiance


def cast_shadow(cover: np.ndarray, light: Light, height: float, strength: float) -> np.ndarray:
    """Computes the remaining light, 0 to 1, [W, W], around an object `height` thick.

    Args:
        cover: Where the object is, 0 to 1, [W, W].
        light: The lamp that casts the shadow.
        height: In image widths.
        strength: Of the shadow, 0 to 1.
    """
    size = cover.shape[0]
    x, y = light.direction()
    reach = 1.1 * height / light.lamp[2]
    moved = _moved(cover, round(-y * reach * size), round(-x * reach * size))
    thrown = blurred(moved, max(height / 3, 0.006))
    contact = blurred(cover, max(height / 2, 0.008))
    return (1 - np.float32(strength) * thrown) * (1 - np.float32(strength / 2) * contact)


def _lobe(surface: Surface, normal: _Vectors, half: _Vectors) -> np.ndarray:
    """Computes the lamp's blurred reflection, stretched across any grooves (Ward)."""
    upright = np.maximum(_dot(normal, half), np.float32(0.05))
    rough2 = surface.rough * surface.rough
    if surface.groove is None:
        return np.exp((1 - 1 / (upright * upright)) / rough2)
    groove_x, groove_y = surface.groove
    lean = groove_x * normal[0] + groove_y * normal[1]
    along = groove_x * half[0] + groove_y * half[1] - lean * upright
    along2 = along * along
    across2 = np.maximum(1 - upright * upright - along2, 0)
    along_rough2 = np.float32(surface.groove_rough**2)
    return np.exp(-(along2 / along_rough2 + across2 / rough2) / (upright * upright))


def _room(normal: _Vectors, light: Light) -> np.ndarray:
    """Computes the room's reflection: bright on the lamp's side, dark low down."""
    x, y = light.direction()
    lean = 2 * normal[2] * (normal[0] * np.float32(x) + normal[1] * np.float32(y))
    level = 1 + np.float32(0.5) * np.tanh(np.float32(2.2) * lean)
    level -= np.float32(0.9) * (1 - normal[2])
    return np.float32(light.fill) * np.maximum(level, np.float32(0.08))


def _under_film(radiance: np.ndarray, film: np.ndarray, light: Light, half: _Vectors) -> np.ndarray:
    """Adds clear plastic on top, which mirrors the lamp everywhere and the room where steep."""
    there = np.clip(film / np.float32(0.002), 0, 1)
    normal = _normals(film)
    mirror = np.float32(0.035) + np.float32(0.75) * (1 - normal[2]) ** 2
    upright = np.maximum(_dot(normal, half), np.float32(0.05))
    lamp = np.exp((1 - 1 / (upright * upright)) / np.float32(_FILM_ROUGH**2))
    seen = np.float32(0.9 * light.key) * lamp + mirror * _room(normal, light)
    return radiance * (1 - there * mirror)[..., None] + (there * seen)[..., None]


def _moved(field: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Shifts within the image, filling with 0."""
    size = field.shape[0]
    padded = np.pad(field, ((max(rows, 0), max(-rows, 0)), (max(columns, 0), max(-columns, 0))))
    top, left = max(-rows, 0), max(-columns, 0)
    return padded[top : top + size, left : left + size]


def _normals(height: np.ndarray) -> _Vectors:
    slope_x, slope_y = slopes(height)
    return _unit(-slope_x, -slope_y, np.float32(1))


def _dot(a: _Vectors, b: _Vectors) -> np.ndarray:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _unit(x: np.ndarray, y: np.ndarray, z: np.ndarray | np.float32) -> _Vectors:
    scale = 1 / np.sqrt(x * x + y * y + z * z)
    return x * scale, y * scale, z * scale
