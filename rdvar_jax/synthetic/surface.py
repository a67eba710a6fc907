"""The scene as a height field with materials."""

from dataclasses import dataclass

import numpy as np

from rdvar_jax.synthetic.draws import Draws

Colour = tuple[float, float, float]

# Thresholds of a visible change, about two grey levels each. A film mirrors the lamp so sharply
# that smaller slopes show.
_LEAST_HEIGHT = 0.0008
_LEAST_SLOPE = 0.02
_LEAST_FILM_SLOPE = 0.012
_LEAST_TONE = 0.010


@dataclass(frozen=True)
class Shot:
    """Specification of one photograph, the argument of a category's `draw`."""

    size: int  # W, the side of the work grid
    defect: str | None
    draws: Draws  # for the part, its position and the light
    flaw: Draws  # for the defect alone, so that the part is the same without it
    severity: float  # of the defect, from 0, hard to see, to 1, obvious


@dataclass
class Surface:
    """A height field with materials; float32 [W, W] unless said otherwise.

    Defects may change all but `tint`, `groove` and `groove_rough`.
    """

    height: np.ndarray  # in image widths, towards the camera
    diffuse: np.ndarray  # [W, W, 3], light reflected in all directions, linear
    gloss: np.ndarray  # specular reflection, 0 to 1
    rough: np.ndarray  # spread of the lamp's reflection: 0.05 polished, 0.5 satin
    visible: np.ndarray  # fraction of light that arrives, 0 to 1 (shadows)
    tint: Colour = (1.0, 1.0, 1.0)  # of mirrored light
    groove: tuple[np.ndarray | np.float32, np.ndarray | np.float32] | None = None  # x, y: brushing
    groove_rough: float = 0.1  # along the grooves, where `rough` is across them
    film: np.ndarray | None = None  # height of a clear sheet above it, 0 without one
    claimed: np.ndarray | None = None  # bool, part of the defect even where nothing shows

    @classmethod
    def plain(cls, size: int, diffuse: Colour, gloss: float, rough: float) -> "Surface":
        """Makes a flat surface of one material."""

        def filled(value: float) -> np.ndarray:
            return np.full((size, size), value, np.float32)

        return cls(
            height=filled(0),
            diffuse=np.full((size, size, 3), diffuse, np.float32),
            gloss=filled(gloss),
            rough=filled(rough),
            visible=filled(1),
        )

    def paint(self, cover: np.ndarray, colour: Colour | np.ndarray, gloss: float, rough: float):
        """Covers it with another material, weighted by `cover`, 0 to 1, [W, W]."""
        colour = np.asarray(colour, np.float32)
        self.diffuse = self.diffuse + (colour - self.diffuse) * cover[..., None]
        self.gloss = self.gloss + (np.float32(gloss) - self.gloss) * cover
        self.rough = self.rough + (np.float32(rough) - self.rough) * cover

    def shadow(self, left: np.ndarray, lifted: np.ndarray) -> None:
        """Dims by the remaining light `left`, except what is on top (`lifted`, 0 to 1)."""
        self.visible = self.visible * (left + (1 - left) * lifted)


def slopes(height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns d height / dx and d height / dy, dimensionless, each [W, W]."""
    twice_pitch = np.float32(2 / height.shape[0])
    padded = np.pad(height, 1, mode="edge")
    return (
        (padded[1:-1, 2:] - padded[1:-1, :-2]) / twice_pitch,
        (padded[2:, 1:-1] - padded[:-2, 1:-1]) / twice_pitch,
    )


def changed(good: Surface, bad: Surface) -> np.ndarray:
    """Finds where a defect changes the surface or the light that reaches it, bool [W, W].

    Compares shapes, materials and shadows, not pictures: noise is ignored, and a defect that
    happens to be as bright as the good surface still counts.
    """
    change = _reshaped(good.height, bad.height, _LEAST_SLOPE)
    if good.film is not None and bad.film is not None:
        change |= _reshaped(good.film, bad.film, _LEAST_FILM_SLOPE)
    for before, after in (
        (good.gloss, bad.gloss),
        (good.rough, bad.rough),
        (good.visible, bad.visible),
        (_lit(good), _lit(bad)),
    ):
        difference = np.abs(before - after) > _LEAST_TONE
        change |= difference if difference.ndim == 2 else difference.any(axis=-1)
    return change if bad.claimed is None else change | bad.claimed


def _reshaped(good: np.ndarray, bad: np.ndarray, least_slope: float) -> np.ndarray:
    change = np.abs(good - bad) > _LEAST_HEIGHT
    for before, after in zip(slopes(good), slopes(bad), strict=True):
        change |= np.abs(before - after) > least_slope
    return change


def _lit(surface: Surface) -> np.ndarray:
    return surface.diffuse * surface.visible[..., None]
