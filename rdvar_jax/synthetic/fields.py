"""Fields over the image: coordinates, smooth noise, distances to shapes.

Lengths are in image widths: x to the right, y down, both from 0 to 1, so a scene has no
resolution. W is the side of the work grid, which is finer than the final image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from rdvar_jax.synthetic.draws import Draws

Window = tuple[slice, slice]
Point = tuple[float, float]


@dataclass(frozen=True)
class Frame:
    """Coordinates of a part that is shifted and rotated in the image, each float32 [W, W]."""

    u: np.ndarray
    v: np.ndarray

    @property
    def size(self) -> int:
        """W."""
        return self.u.shape[0]

    @classmethod
    def of_image(cls, size: int) -> "Frame":
        """Makes the frame of the pixel centres."""
        line = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
        return cls(*np.meshgrid(line, line))

    def moved(self, x: float, y: float, angle: float = 0.0) -> "Frame":
        """Returns the frame with its origin at (x, y) of this one, rotated by `angle`."""
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        du, dv = self.u - np.float32(x), self.v - np.float32(y)
        return Frame(cos * du + sin * dv, cos * dv - sin * du)

    def cut(self, window: Window) -> "Frame":
        """Crops the coordinates to a window of the image."""
        return Frame(self.u[window], self.v[window])

    def window(self, low: Point, high: Point) -> Window:
        """Returns the smallest window with all points from (u, v) = `low` to `high`."""
        inside = (self.u > low[0]) & (self.u < high[0]) & (self.v > low[1]) & (self.v < high[1])
        return bounds(inside)


def bounds(region: np.ndarray) -> Window:
    """Returns the smallest window that holds all True of a bool [W, W]; may be empty."""
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if not rows.size:
        return slice(0, 0), slice(0, 0)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def resized(field: np.ndarray, size: int) -> np.ndarray:
    """Upsamples a coarse field, float32 [h, w], smoothly to the work grid [size, size]."""
    image = Image.fromarray(np.ascontiguousarray(field, np.float32))
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))


def blurred(field: np.ndarray, radius: float) -> np.ndarray:
    """Blurs a field [W, W] over about `radius` image widths; the support ends within 2 radii.

    Computed on a coarse grid, which is enough for a result this smooth.
    """
    size = field.shape[0]
    coarse = max(8, min(size, round(4 / radius)))
    image = Image.fromarray(np.ascontiguousarray(field, np.float32))
    small = np.asarray(image.resize((coarse, coarse), Image.Resampling.BOX))
    width = max(1, round(radius * coarse))
    for _ in range(2):  # two boxes approximate a Gaussian, with finite support
        small = ndimage.uniform_filter(small, width, mode="nearest")
    return resized(small, size)


def noise(
    draws: Draws, size: int, cells: float, octaves: int = 1, stretch: float = 1
) -> np.ndarray:
    """Makes smooth noise with about `cells` waves across the image, mean 0, deviation near 1.

    Each octave is twice as fine and half as strong; `stretch` elongates them along x.
    """
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        rows = max(2, round(cells * 2**octave))
        columns = max(2, round(rows / stretch))
        # Nothing finer than the grid, which the resize would lose.
        lattice = draws.normals(rows, columns)
        total += resized(lattice[: 2 * size, : 2 * size], size) * np.float32(0.5**octave)
    return total


def sampled(texture: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Samples a texture [h, w] that covers u, v of -0.5 ... 1.5 at a part's coordinates."""
    rows = (v + np.float32(0.5)) * np.float32((texture.shape[0] - 1) / 2)
    columns = (u + np.float32(0.5)) * np.float32((texture.shape[1] - 1) / 2)
    return ndimage.map_coordinates(texture, (rows, columns), order=1, mode="reflect")


def smoothstep(low: float, high: float, value: np.ndarray) -> np.ndarray:
    """Returns 0 up to `low`, 1 from `high` on, smooth between; `low` may be the greater one."""
    part = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    return part * part * (3 - 2 * part)


def mixed(
    low: np.ndarray | np.float32, high: np.ndarray | np.float32, share: np.ndarray
) -> np.ndarray:
    """Interpolates from `low`, where share is 0, to `high`, where it is 1."""
    return low + (high - low) * share


def between(low: float, high: float, share: float) -> float:
    """Interpolates from `low`, if share is 0, to `high`, if it is 1."""
    return low + (high - low) * share


def circle(frame: Frame, radius: float) -> np.ndarray:
    """Signed distance to a circle around the origin, negative inside."""
    return np.hypot(frame.u, frame.v) - np.float32(radius)


def box(frame: Frame, half_u: float, half_v: float, corner: float = 0.0) -> np.ndarray:
    """Signed distance to a rectangle around the origin with rounded corners."""
    du = np.abs(frame.u) - np.float32(half_u - corner)
    dv = np.abs(frame.v) - np.float32(half_v - corner)
    outside = np.hypot(np.maximum(du, 0), np.maximum(dv, 0))
    return outside + np.minimum(np.maximum(du, dv), 0) - np.float32(corner)


def hexagon(frame: Frame, radius: float, corner: float = 0.0) -> np.ndarray:
    """Signed distance to a hexagon with flats at `radius` from the origin, rounded corners."""
    across = np.float32(radius - corner)
    half_side = across * np.float32(1 / np.sqrt(3))
    u, v = np.abs(frame.u), np.abs(frame.v)
    # Folded over the flat at 60 degrees, so that one flat represents all six.
    normal_u, normal_v = np.float32(-np.sqrt(3) / 2), np.float32(0.5)
    fold = 2 * np.minimum(normal_u * u + normal_v * v, 0)
    u, v = u - fold * normal_u, v - fold * normal_v
    u = u - np.clip(u, -half_side, half_side)
    v = v - across
    return np.hypot(u, v) * np.sign(v) - np.float32(corner)


def polyline(frame: Frame, points: Sequence[Point] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance to a polyline, and the position of the nearest point along it (0-1)."""
    distance = np.full(frame.u.shape, np.inf, np.float32)
    along = np.zeros(frame.u.shape, np.float32)
    count = len(points) - 1
    for index in range(count):
        (u0, v0), (u1, v1) = points[index], points[index + 1]
        du, dv = np.float32(u1 - u0), np.float32(v1 - v0)
        length2 = max(float(du * du + dv * dv), 1e-12)
        pu, pv = frame.u - np.float32(u0), frame.v - np.float32(v0)
        part = np.clip((pu * du + pv * dv) / np.float32(length2), 0, 1)
        here = np.hypot(pu - part * du, pv - part * dv)
        nearer = here < distance
        distance = np.where(nearer, here, distance)
        along = np.where(nearer, (index + part) / np.float32(count), along)
    return distance, along


def wandering(draws: Draws, length: float, bend: float, count: int = 18) -> np.ndarray:
    """Draws a smooth random curve around the origin, [count + 1, 2]; `bend` in radians."""
    heading = draws.uniform(0, 2 * np.pi)
    turns = draws.normals(4) * np.float32(bend / 2)
    turn = np.interp(np.linspace(0, 3, count), np.arange(4), turns)
    headings = heading + np.cumsum(turn) * (3.0 / count)
    steps = np.stack([np.cos(headings), np.sin(headings)], axis=1) * (length / count)
    points = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    return points - points.mean(axis=0)


def blob(draws: Draws, frame: Frame, radius: float, rough: float = 0.35) -> np.ndarray:
    """Approximate signed distance to an irregular spot at the origin; never beyond 2 radii."""
    angle = np.arctan2(frame.v, frame.u)
    edge = np.ones_like(angle)
    for order in range(1, 6):
        phase, strength = draws.uniform(0, 2 * np.pi), draws.normal(rough / (order + 0.5))
        edge += np.float32(strength) * np.cos(order * angle + np.float32(phase))
    return np.hypot(frame.u, frame.v) - np.float32(radius) * np.clip(edge, 0.45, 1.7)
