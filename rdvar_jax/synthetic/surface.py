"""What is in front of the camera, as a height field with its materials."""

from dataclasses import dataclass

import numpy as np

from rdvar_jax.synthetic.draws import Draws

Colour = tuple[float, float, float]

# What a change must exceed to count as one: about two grey levels each. A film mirrors the lamp so
# sharply that it shows smaller slopes.
_LEAST_HEIGHT = 0.0008
_LEAST_SLOPE = 0.02
_LEAST_FILM_SLOPE = 0.012
_LEAST_TONE = 0.010


@dataclass(frozen=True)
class Shot:
    """One photograph to be taken, as a category's `draw` is told about it."""

    size: int  # W, the side of the work grid
    defect: str | None
    draws: Draws  # for the part, its place and the light
    flaw: Draws  # for the defect alone, so that the part is the same without it
    severity: float  # of the defect, from 0, hard to see, to 1, obvious


@dataclass
class Surface:
    """What the light falls on; float32 [W, W] unless said otherwise.

    Defects change it, all but `tint`, `groove` and `groove_rough`, which are the part's own.
    """

    height: np.ndarray  # in widths of the image, towards the camera
    diffuse: np.ndarray  # [W, W, 3], light reflected in all directions, linear
    gloss: np.ndarray  # light reflected as by a mirror, 0 to 1
    rough: np.ndarray  # how far reflections of the lamp spread: 0.05 polished, 0.5 satin
    visible: np.ndarray  # how much light arrives, 0 to 1 (shadows)
    tint: Colour = (1.0, 1.0, 1.0)  # of mirrored light
    groove: tuple[np.ndarray | np.float32, np.ndarray | np.float32] | None = None  # x, y: brushing
    groove_rough: float = 0.1  # along the grooves, where `rough` is across them
    film: np.ndarray | None = None  # height of a clear sheet above it, 0 where there is none
    claimed: np.ndarray | None = None  # bool, the defect's even where nothing is to be seen

    @classmethod
    def plain(cls, size: int, diffuse: Colour, gloss: float, rough: float) -> "Surface":
        """A flat surface of one material."""

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
        """Lay another material over it where `cover`, 0 to 1, [W, W], says so."""
        colour = np.asarray(colour, np.float32)
        self.diffuse = self.diffuse + (colour - self.diffuse) * cover[..., None]
        self.gloss = self.gloss + (np.float32(gloss) - self.gloss) * cover
        self.rough = self.rough + (np.float32(rough) - self.rough) * cover

    def shadow(self, left: np.ndarray, lifted: np.ndarray) -> None:
        """Dim by `left`, but not what lies on top (`lifted`, 0 to 1)."""
        self.visible = self.visible * (left + (1 - left) * lifted)


def slopes(height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """d height / dx and d height / dy, without unit, each [W, W]."""
    twice_pitch = np.float32(2 / height.shape[0])
    padded = np.pad(height, 1, mode="edge")
    return (
        (padded[1:-1, 2:] - padded[1:-1, :-2]) / twice_pitch,
        (padded[2:, 1:-1] - padded[:-2, 1:-1]) / twice_pitch,
    )


def changed(good: Surface, bad: Surface) -> np.ndarray:
    """Where a defect has changed the surface or the light that reaches it, bool [W, W].

    Shapes, materials and shadows are compared, not pictures: noise has no part in it, and a defect
    that happens to be as bright as what was there before still counts.
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
