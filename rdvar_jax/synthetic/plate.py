"""A name plate of brushed aluminium, printed and drilled, on a workbench."""

from collections.abc import Callable

import numpy as np

from rdvar_jax.synthetic import flaws
from rdvar_jax.synthetic.draws import Draws
from rdvar_jax.synthetic.fields import (
    Frame,
    between,
    box,
    circle,
    mixed,
    noise,
    sampled,
    smoothstep,
)
from rdvar_jax.synthetic.light import Light, cast_shadow
from rdvar_jax.synthetic.surface import Colour, Shot, Surface
from rdvar_jax.synthetic.text import text_distance, text_width

DEFECTS = ("dent", "missing_hole", "scratch", "shifted_print", "smeared_print", "stain")

_HALF_U, _HALF_V = 0.415, 0.30
_HOLE_U, _HOLE = 0.355, 0.026  # position and radius of the holes
_BENCH: Colour = (0.30, 0.19, 0.105)
_BLACK: Colour = (0.022, 0.024, 0.028)
_BLUE: Colour = (0.015, 0.05, 0.16)
_DRIED: Colour = (0.17, 0.105, 0.05)
_NAME = (0.085, -0.15)
_LINES = ((-0.10, -0.035, "TYPE 40-2"), (-0.10, 0.042, "24V 1.5A"))
_EMBLEM = (-0.215, -0.15)
_MARK = (0.2, 0.005)
_BARS = (0.0, 0.165)
_BAR = 0.0095  # width
_CODE = np.array([int(bit) for bit in "1011001010001101101000110010111010010110001011010011101"])


def draw(shot: Shot) -> tuple[Surface, Light]:
    """Draws the plate of one image on its bench, and the light."""
    draws, flaw = shot.draws, shot.flaw
    light = Light.drawn(draws, azimuth=-1.75, height=1.0, key=1.5, fill=0.55)
    surface = _bench(shot)
    angle = draws.normal(0.02)
    x, y = draws.uniform(0.485, 0.515), draws.uniform(0.48, 0.52)
    frame = Frame.of_image(shot.size).moved(x, y, angle)
    place = frame.moved(flaw.uniform(-0.26, 0.26), flaw.uniform(-0.2, 0.2))
    solid = _add_plate(surface, light, frame, angle, shot)
    _add_print(surface, frame, solid, shot)
    if shot.defect == "scratch":
        flaws.scratch(surface, flaw, place, shot.severity, length=0.32, bright=0.9, within=solid)
    elif shot.defect == "stain":
        radius = flaw.uniform(0.055, 0.10)
        flaws.stain(surface, flaw, place, shot.severity, radius, _DRIED, opaque=True, within=solid)
    elif shot.defect == "dent":
        _dent(surface, place, shot)
    return surface, light


def _bench(shot: Shot) -> Surface:
    """Makes oiled wood with its grain across the image."""
    surface = Surface.plain(shot.size, _BENCH, 0.03, 0.4)
    fibres = noise(shot.draws, shot.size, 150, stretch=16)
    grain = noise(shot.draws, shot.size, 40, 2, stretch=14)
    rings = noise(shot.draws, shot.size, 7, 2, stretch=5)
    tone = 1 + np.float32(0.06) * fibres + np.float32(0.05) * grain + np.float32(0.08) * rings
    surface.diffuse = surface.diffuse * tone[..., None]
    return surface


def _add_plate(
    surface: Surface, light: Light, frame: Frame, angle: float, shot: Shot
) -> np.ndarray:
    """Returns where the plate is, 0 to 1, [W, W]."""
    pixel = 1.0 / shot.size
    undrilled = shot.flaw.sign() if shot.defect == "missing_hole" else 0
    edge = box(frame, _HALF_U, _HALF_V, 0.035)
    for side in (-1, 1):
        if side != undrilled:
            edge = np.maximum(edge, -circle(frame.moved(side * _HOLE_U, 0), _HOLE))
    solid = smoothstep(pixel, -pixel, edge)
    surface.shadow(cast_shadow(solid, light, 0.03, 0.65), solid)
    streaks = _brushed(shot.draws, frame)
    bevel = np.float32(0.9) * np.maximum(edge + np.float32(0.009), 0)
    waves = np.float32(0.0012) * noise(shot.draws, shot.size, 2)
    height = np.float32(0.02) - bevel + np.float32(0.00022) * streaks + waves
    surface.height = mixed(surface.height, height, solid)
    metal = np.float32(0.58) * (1 + np.float32(0.07) * streaks)
    surface.gloss = mixed(surface.gloss, metal, solid)
    surface.rough = mixed(surface.rough, np.float32(0.42), solid)
    surface.diffuse = mixed(surface.diffuse, np.float32(0.07), solid[..., None])
    surface.groove = (np.float32(np.cos(angle)), np.float32(np.sin(angle)))
    surface.groove_rough = 0.16
    surface.tint = (1.0, 0.995, 0.98)
    return solid


def _brushed(draws: Draws, frame: Frame) -> np.ndarray:
    """Makes long fine scratches along u, in coarser bands."""
    fine = draws.normals(1024, 10)
    coarse = np.repeat(draws.normals(128, 10), 8, axis=0)
    return sampled(fine + np.float32(0.5) * coarse, frame.u, frame.v)


def _add_print(surface: Surface, frame: Frame, solid: np.ndarray, shot: Shot) -> None:
    """Prints two inks; position and density vary slightly."""
    draws, flaw = shot.draws, shot.flaw
    frame = frame.moved(draws.normal(0.0025), draws.normal(0.0025), draws.normal(0.002))
    name = frame
    if shot.defect == "shifted_print":
        shift = between(0.012, 0.035, shot.severity)
        tilt = flaw.sign() * 0.05 * shot.severity
        name = frame.moved(flaw.sign() * shift, flaw.sign() * 0.7 * shift, tilt)
    wear = smoothstep(0.8, 2.2, noise(draws, shot.size, 60, 2))
    ink = np.float32(0.90 + draws.normal(0.02)) * (1 - np.float32(0.10) * wear) * solid
    black, blue = _black(frame, name), _blue(frame, name)
    if shot.defect == "smeared_print":
        black, blue = _smeared(black, blue, frame, shot)
    surface.paint(black * ink, _BLACK, 0.05, 0.3)
    surface.paint(blue * ink, _BLUE, 0.06, 0.3)


def _black(frame: Frame, name: Frame) -> np.ndarray:
    """Computes the cover of the black ink, 0 to 1, [W, W]."""
    cover = _stroke(np.abs(box(frame, 0.31, 0.245, 0.02)), 0.003, 1.0 / frame.size)
    _write(cover, name.moved(*_NAME), "RDVAR", 0.072, 0.0085)
    for u, v, line in _LINES:
        _write(cover, frame.moved(u, v), line, 0.045, 0.0048)
    _stamp(cover, frame.moved(0, -0.088), 0.30, 0.01, lambda near: box(near, 0.29, 0.002))
    _stamp(cover, frame.moved(*_BARS), 0.27, 0.06, _bar_code)
    return cover


def _blue(frame: Frame, name: Frame) -> np.ndarray:
    """Computes the cover of the blue ink, 0 to 1, [W, W]: an emblem, and a mark with a ring."""
    cover = np.zeros_like(frame.u)
    _stamp(cover, name.moved(*_EMBLEM), 0.06, 0.06, _emblem)
    mark = frame.moved(*_MARK)
    _stamp(cover, mark, 0.06, 0.06, lambda near: np.abs(circle(near, 0.045)) - np.float32(0.007))
    _stamp(cover, mark, 0.06, 0.06, lambda near: box(near, 0.006, 0.022))
    return cover


def _bar_code(near: Frame) -> np.ndarray:
    position = near.u / np.float32(_BAR) + np.float32(_CODE.size / 2)
    cell = np.clip(np.floor(position), 0, _CODE.size - 1).astype(np.int32)
    outside = np.maximum(np.abs(near.v) - np.float32(0.045), -_BAR)
    # A step instead of a distance: bars have sharp sides at any size.
    return np.where(_CODE[cell] == 1, outside, np.float32(1))


def _emblem(near: Frame) -> np.ndarray:
    """Distance to a disc with a lightning bolt cut out."""
    slanted = np.abs(near.v + np.float32(0.9) * near.u) - np.float32(0.012)
    bolt = np.maximum(np.abs(near.u) - np.float32(0.020), slanted)
    bolt = np.minimum(bolt, np.maximum(np.abs(near.v) - 0.034, np.abs(near.u) - 0.008))
    return np.maximum(circle(near, 0.052), -bolt)


def _write(cover: np.ndarray, frame: Frame, text: str, height: float, half: float) -> None:
    half_u = 0.5 * text_width(text, height) + 2 * half
    _stamp(
        cover,
        frame,
        half_u,
        0.5 * height + 2 * half,
        lambda near: text_distance(near, text, height) - np.float32(half),
    )


def _stamp(
    cover: np.ndarray,
    frame: Frame,
    half_u: float,
    half_v: float,
    distance: Callable[[Frame], np.ndarray],
) -> None:
    """Adds a shape to `cover`; only its window is computed."""
    window = frame.window((-half_u, -half_v), (half_u, half_v))
    ink = _stroke(distance(frame.cut(window)), 0, 1.0 / cover.shape[0])
    cover[window] = np.maximum(cover[window], ink)


def _stroke(distance: np.ndarray, half: float, pixel: float) -> np.ndarray:
    """Computes the cover of a line `half` wide to either side, with edges one pixel soft."""
    return smoothstep(half + pixel, half - pixel, distance)


def _smeared(
    black: np.ndarray, blue: np.ndarray, frame: Frame, shot: Shot
) -> tuple[np.ndarray, np.ndarray]:
    """Smears both inks in one place, as if touched while wet."""
    flaw = shot.flaw
    places = (_NAME, _EMBLEM, _BARS, *((u, v) for u, v, _ in _LINES))
    u, v = places[flaw.integer(len(places))]
    here = frame.moved(float(u) + flaw.uniform(-0.06, 0.06), float(v))
    radius, way = flaw.uniform(0.08, 0.11), flaw.sign()
    distance = np.hypot(here.u, np.float32(1.3) * here.v)
    distance += np.float32(0.015) * noise(flaw, shot.size, 20, 3)
    where = smoothstep(radius, 0.7 * radius, distance)
    length, strength = between(0.04, 0.07, shot.severity), between(0.75, 1.0, shot.severity)

    def dragged(ink: np.ndarray) -> np.ndarray:
        steps = [round(way * length * shot.size * part) for part in np.linspace(0.1, 1, 8)]
        trail = sum((np.roll(ink, step, axis=1) for step in steps), np.zeros_like(ink))
        trail = np.minimum(trail * np.float32(1.6 / len(steps)), 1) * np.float32(strength)
        thinned = ink * np.float32(1 - 0.6 * strength)
        return mixed(ink, np.maximum(thinned, trail), where)

    return dragged(black), dragged(blue)


def _dent(surface: Surface, place: Frame, shot: Shot) -> None:
    radius, longer = shot.flaw.uniform(0.05, 0.075), shot.flaw.uniform(1.0, 1.5)
    turned = place.moved(0, 0, shot.flaw.uniform(0, np.pi))
    distance = np.hypot(turned.u, np.float32(longer) * turned.v) / np.float32(radius)
    bowl = np.maximum(1 - distance * distance, 0) ** 2
    depth = radius * between(0.16, 0.30, shot.severity)
    surface.height = surface.height - np.float32(depth) * bowl
