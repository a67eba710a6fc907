"""Defects that several categories share. Each changes a Surface in place.

`severity` runs from 0, hard to see, to 1, obvious; `frame` has its origin at the defect.
"""

import numpy as np

from rdvar_jax.synthetic.draws import Draws
from rdvar_jax.synthetic.fields import (
    Frame,
    Window,
    between,
    blob,
    mixed,
    noise,
    polyline,
    smoothstep,
    wandering,
)
from rdvar_jax.synthetic.light import Light, cast_shadow
from rdvar_jax.synthetic.surface import Colour, Surface


def scratch(
    surface: Surface,
    draws: Draws,
    frame: Frame,
    severity: float,
    *,
    length: float,
    bright: float,
    within: np.ndarray,
) -> None:
    """Adds a groove with raised edges in metal.

    Args:
        surface: Changed in place.
        draws: For its course.
        frame: With its origin in the middle of the scratch.
        severity: 0 to 1.
        length: In image widths.
        bright: Diffuse grey of the exposed metal.
        within: Where it can be, 0 to 1, [W, W].
    """
    width = between(0.004, 0.007, severity)
    points = wandering(draws, length * draws.uniform(0.7, 1.2), 0.5, 8)
    window = _around(frame, points, 3 * width)
    distance, along = polyline(frame.cut(window), points)
    # Its width varies with the pressure of the tool, and tapers at both ends.
    pressure = 0.75 + 0.25 * draws.normals(9).clip(-1, 1)
    half = np.float32(width) * np.interp(along, np.linspace(0, 1, 9), pressure)
    half *= smoothstep(0, 0.12, along) * smoothstep(1, 0.88, along)
    across = (distance / np.maximum(half, 1e-5)).astype(np.float32)
    depth = smoothstep(1.0, 0.3, across)
    ridge = smoothstep(0.9, 1.5, across) * smoothstep(2.4, 1.6, across)
    strength = np.float32(between(0.5, 1.0, severity)) * within[window]
    surface.height[window] += strength * np.float32(width) * (0.3 * ridge - 0.9 * depth)
    bare = np.float32(0.85) * strength * depth
    surface.diffuse[window] += (np.float32(bright) - surface.diffuse[window]) * bare[..., None]


def stain(
    surface: Surface,
    draws: Draws,
    frame: Frame,
    severity: float,
    radius: float,
    colour: Colour,
    *,
    opaque: bool = False,
    within: np.ndarray | None = None,
) -> None:
    """Adds a dried spot that tints the surface, or an opaque crust; densest at its rim.

    Args:
        surface: Changed in place.
        draws: For its shape.
        frame: With its origin in the middle of the spot.
        severity: 0 to 1.
        radius: In image widths.
        colour: Of the crust, or transmitted by the tint.
        opaque: A crust instead of a tint.
        within: Where it can be, 0 to 1, [W, W]; anywhere by default.
    """
    ragged = noise(draws, surface.height.shape[0], 1.2 / radius, 3)
    distance = blob(draws, frame, radius) + np.float32(0.17 * radius) * ragged
    cover = smoothstep(0.12 * radius, -0.12 * radius, distance)
    rim = smoothstep(-0.5 * radius, -0.08 * radius, distance)
    mottled = np.float32(0.20 if opaque else 0.08) * ragged
    density = np.clip(0.75 + 0.25 * rim + mottled, 0.2, 1)
    amount = cover * density * np.float32(between(0.65 if opaque else 0.5, 0.97, severity))
    if within is not None:
        amount = amount * within
    if opaque:
        crust = np.array(colour, np.float32) * (1 + np.float32(0.25) * ragged[..., None])
        surface.paint(amount, crust, 0.04, 0.5)
    else:
        passes = 1 - amount[..., None] * (1 - np.array(colour, np.float32))
        surface.diffuse = surface.diffuse * passes


def strand(
    surface: Surface,
    light: Light,
    draws: Draws,
    frame: Frame,
    severity: float,
    *,
    length: float,
    width: float,
    bend: float,
    colour: Colour,
    gloss: float = 0.15,
) -> None:
    """Adds a hair, thread or chip of swarf on the surface, with its shadow.

    Args:
        surface: Changed in place.
        light: Casts the shadow.
        draws: For its curve.
        frame: With its origin in the middle of the strand.
        severity: 0 to 1, changes the width.
        length: In image widths.
        width: In image widths.
        bend: How much it turns over its length, radians.
        colour: Diffuse.
        gloss: 0 to 1.
    """
    half = 0.5 * width * between(0.75, 1.25, severity)
    points = wandering(draws, length, bend)
    window = _around(frame, points, 3 * half)
    distance, along = polyline(frame.cut(window), points)
    across = distance / np.float32(half)
    cover = np.zeros_like(surface.height)
    cover[window] = smoothstep(1.1, 0.75, across)
    surface.shadow(cast_shadow(cover, light, 2.5 * half, 0.55), cover)
    round_ = np.float32(half) * np.sqrt(np.maximum(1 - across * across, 0))
    ground = surface.height[window].max() if cover.any() else np.float32(0)
    top = ground + np.float32(0.2 * half) + round_
    surface.height[window] = mixed(surface.height[window], top, cover[window])
    body = np.ones_like(surface.diffuse) * np.array(colour, np.float32)
    twist = np.sin(along * np.float32(2 * np.pi * length / (2.2 * width)))
    body[window] *= (np.float32(0.85) + np.float32(0.15) * twist)[..., None]
    surface.paint(cover, body, gloss, 0.25)


def _around(frame: Frame, points: np.ndarray, margin: float) -> Window:
    low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
    return frame.window((float(low[0]), float(low[1])), (float(high[0]), float(high[1])))
