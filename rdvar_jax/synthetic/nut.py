"""A turned and tapped hexagon nut on a mat, near its middle and at any angle."""

from dataclasses import dataclass

import numpy as np

from rdvar_jax.synthetic import flaws
from rdvar_jax.synthetic.draws import Draws
from rdvar_jax.synthetic.fields import (
    Frame,
    between,
    blob,
    hexagon,
    mixed,
    noise,
    smoothstep,
)
from rdvar_jax.synthetic.light import Light, cast_shadow
from rdvar_jax.synthetic.surface import Colour, Shot, Surface

DEFECTS = ("bent", "burr", "chipped", "foreign_body", "rust", "scratch")

_FLAT = 0.30  # from the middle to a flat
_BORE = 0.165  # radius
_INNER = 0.80  # fraction of the bore's radius that is open: the rest is thread
_CORNER = _FLAT * 2 / np.sqrt(3)  # from the middle to a corner
_THICK = 0.10
_MAT: Colour = (0.060, 0.066, 0.075)
_RUST: Colour = (0.17, 0.062, 0.018)
_SWARF: Colour = (0.35, 0.22, 0.06)


@dataclass
class _Nut:
    """Geometry of a nut, all [W, W]."""

    frame: Frame
    whole: np.ndarray  # signed distance to the outline before the defect
    edge: np.ndarray  # the same after it
    broken: np.ndarray  # signed distance to where a corner broke off, negative on the nut
    sunk: np.ndarray  # how far the top was bent down
    middle: np.ndarray  # distance to the axis
    bore: np.ndarray  # the same, in radii of the bore


def draw(shot: Shot) -> tuple[Surface, Light]:
    """Draws the nut of one image on its mat, and the light."""
    light = Light.drawn(shot.draws, azimuth=-2.0, height=1.0, key=1.7, fill=0.42)
    surface = _mat(shot)
    nut = _place(shot)
    solid = _add_nut(surface, light, nut, shot)
    angle = shot.flaw.uniform(0, 2 * np.pi)
    ring = shot.flaw.uniform(_BORE + 0.05, _FLAT - 0.04)
    place = nut.frame.moved(ring * np.cos(angle), ring * np.sin(angle))
    if shot.defect == "scratch":
        flaws.scratch(
            surface, shot.flaw, place, shot.severity, length=0.25, bright=0.9, within=solid
        )
    elif shot.defect == "rust":
        radius = shot.flaw.uniform(0.045, 0.08)
        flaws.stain(
            surface, shot.flaw, place, shot.severity, radius, _RUST, opaque=True, within=solid
        )
    elif shot.defect == "foreign_body":
        flaws.strand(
            surface,
            light,
            shot.flaw,
            place,
            shot.severity,
            length=0.22,
            width=0.016,
            bend=5.0,
            colour=_SWARF,
            gloss=0.25,
        )
    return surface, light


def _mat(shot: Shot) -> Surface:
    surface = Surface.plain(shot.size, _MAT, 0.015, 0.5)
    grain = noise(shot.draws, shot.size, 100, 2)
    surface.height = np.float32(0.0008) * grain
    tone = 1 + np.float32(0.06) * noise(shot.draws, shot.size, 3, 2) + np.float32(0.10) * grain
    surface.diffuse = surface.diffuse * tone[..., None]
    return surface


def _place(shot: Shot) -> _Nut:
    draws = shot.draws
    x, y = draws.uniform(0.45, 0.55), draws.uniform(0.45, 0.55)
    frame = Frame.of_image(shot.size).moved(x, y, draws.uniform(0, 2 * np.pi))
    flat = _FLAT * (1 + draws.normal(0.006))
    radius = np.float32(_BORE * (1 + draws.normal(0.006)))
    whole = hexagon(frame, flat, 0.012)
    broken, sunk, shape = np.full_like(whole, -1), np.zeros_like(whole), frame
    if shot.defect == "chipped":
        broken = _chip(shot, frame)
    elif shot.defect == "bent":
        shape, sunk = _bend(shot, frame)
    return _Nut(
        frame=frame,
        whole=whole,
        edge=np.maximum(hexagon(shape, flat, 0.012), broken),
        broken=broken,
        sunk=sunk,
        middle=np.hypot(shape.u, shape.v),
        bore=np.hypot(frame.u, frame.v) / radius,
    )


def _chip(shot: Shot, frame: Frame) -> np.ndarray:
    corner = np.pi / 3 * shot.flaw.integer(6)
    reach = _CORNER - between(0.055, 0.11, shot.severity)
    tilted = frame.moved(0, 0, corner + shot.flaw.uniform(-0.35, 0.35))
    cut = tilted.u - np.float32(reach) + np.float32(0.010) * noise(shot.flaw, shot.size, 14, 3)
    near = frame.moved(0, 0, corner).u > 0.5 * _FLAT
    return np.where(near, cut, np.float32(-1))


def _bend(shot: Shot, frame: Frame) -> tuple[Frame, np.ndarray]:
    """Bends a corner: returns the pushed coordinates of the part, and how far down it is bent."""
    corner = np.pi / 3 * shot.flaw.integer(6) + shot.flaw.uniform(-0.15, 0.15)
    struck = frame.moved(_CORNER * np.cos(corner), _CORNER * np.sin(corner))
    reach = np.float32(between(0.12, 0.17, shot.severity))
    bump = np.maximum(1 - (struck.u**2 + struck.v**2) / reach**2, 0) ** 2
    push = between(0.045, 0.08, shot.severity)
    sideways = corner + shot.flaw.sign() * shot.flaw.uniform(0.3, 1.0)
    u = frame.u + np.float32(push * np.cos(sideways)) * bump
    v = frame.v + np.float32(push * np.sin(sideways)) * bump
    return Frame(u, v), np.float32(between(0.35, 0.6, shot.severity)) * reach * bump


def _add_nut(surface: Surface, light: Light, nut: _Nut, shot: Shot) -> np.ndarray:
    """Returns where the nut is, 0 to 1, [W, W]."""
    pixel = 1.0 / shot.size
    full = smoothstep(_INNER - pixel / _BORE, _INNER + pixel / _BORE, nut.bore)
    outline = smoothstep(pixel, -pixel, nut.edge)
    solid = outline * full
    # The shadow is that of the undamaged nut: a person would not mark the change in the shadow of a
    # missing corner, some way off.
    surface.shadow(cast_shadow(smoothstep(pixel, -pixel, nut.whole), light, _THICK, 0.62), solid)
    well = outline * (1 - full) * smoothstep(_INNER, _INNER - 0.12, nut.bore)
    surface.visible = surface.visible * (1 - np.float32(0.6) * well)
    wobble = noise(shot.draws, shot.size, 5)
    patches = noise(shot.draws, shot.size, 40, 2)
    surface.height = mixed(surface.height, _relief(nut, wobble), solid)
    _add_steel(surface, nut, shot.draws, patches, solid)
    if shot.defect == "chipped":
        _lay_bare(surface, nut, patches, solid)
    elif shot.defect == "burr":
        _add_burr(surface, nut, patches, shot)
    return solid


def _relief(nut: _Nut, wobble: np.ndarray) -> np.ndarray:
    """Computes height: chamfered corners, a countersunk bore, lathe marks, and the thread."""
    chamfer = np.float32(0.55) * np.maximum(nut.middle - np.float32(0.93 * _FLAT), 0)
    sink = np.float32(0.9 * _BORE) * np.maximum(np.float32(1.17) - nut.bore, 0)
    worn = np.float32(1.2) * np.maximum(nut.edge + np.float32(0.006), 0)
    turned = np.sin(np.float32(520) * nut.middle + np.float32(1.5) * wobble)
    depth = (1 - nut.bore) / np.float32(1 - _INNER)
    turn = np.arctan2(nut.frame.v, nut.frame.u)
    thread = np.where(nut.bore < 1, np.sin(np.float32(4 * np.pi) * depth + turn), 0)
    height = np.float32(_THICK) - chamfer - sink - worn - nut.sunk
    return height + np.float32(0.00006) * turned + np.float32(0.004) * thread


def _add_steel(
    surface: Surface, nut: _Nut, draws: Draws, patches: np.ndarray, solid: np.ndarray
) -> None:
    # The lathe leaves rings: their tone depends on the radius alone.
    tones = draws.normals(160)
    rings = np.interp(nut.middle, np.linspace(0, 0.5, 160), tones).astype(np.float32)
    steel = np.float32(0.60) * (1 + np.float32(0.10) * rings + np.float32(0.05) * patches)
    wall = smoothstep(1.0, 0.97, nut.bore)
    surface.gloss = mixed(surface.gloss, steel * (1 - np.float32(0.35) * wall), solid)
    surface.diffuse = mixed(surface.diffuse, np.float32(0.06), solid[..., None])
    surface.rough = mixed(surface.rough, np.float32(0.40), solid)
    surface.visible = surface.visible * (1 - np.float32(0.45) * wall * solid)
    surface.tint = (0.98, 1.0, 1.0)
    # Grooves run around the middle, perpendicular to the radius, in image coordinates.
    out = np.hypot(nut.frame.u, nut.frame.v)
    out_x, out_y = np.gradient(out, axis=1), np.gradient(out, axis=0)
    length = np.maximum(np.hypot(out_x, out_y), np.float32(1e-6))
    surface.groove = (-out_y / length, out_x / length)
    surface.groove_rough = 0.12


def _add_burr(surface: Surface, nut: _Nut, patches: np.ndarray, shot: Shot) -> None:
    """Adds a ragged lip of metal that the drill left in the bore."""
    angle, radius = shot.flaw.uniform(0, 2 * np.pi), between(0.035, 0.065, shot.severity)
    rim = 0.95 * _INNER * _BORE
    place = nut.frame.moved(rim * np.cos(angle), rim * np.sin(angle))
    edge = blob(shot.flaw, place, radius, 0.5) + np.float32(0.006) * patches
    cover = smoothstep(0.003, -0.003, edge) * smoothstep(0.98, 0.94, nut.bore)
    height = np.float32(0.8 * _THICK) + np.float32(0.5) * edge + np.float32(0.002) * patches
    surface.height = mixed(surface.height, height, cover)
    grey = np.float32(0.13) + np.float32(0.02) * patches[..., None]
    surface.paint(cover, np.broadcast_to(grey, surface.diffuse.shape), 0.35, 0.4)
    surface.visible = mixed(surface.visible, np.float32(0.85), cover)


def _lay_bare(surface: Surface, nut: _Nut, patches: np.ndarray, solid: np.ndarray) -> None:
    """Adds the face of the break: it slopes down to the mat, grey and grainy."""
    face = solid * smoothstep(-0.020, -0.014, nut.broken)
    drop = np.maximum(nut.broken + np.float32(0.020), 0)
    surface.height = surface.height - face * (drop - np.float32(0.0012) * patches)
    grey = np.float32(0.20) + np.float32(0.05) * patches[..., None]
    surface.paint(face, np.broadcast_to(grey, surface.diffuse.shape), 0.25, 0.5)
