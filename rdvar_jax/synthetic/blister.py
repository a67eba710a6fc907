"""Four scored tablets in a blister pack, randomly turned, on foil under clear domes."""

from dataclasses import dataclass

import numpy as np

from rdvar_jax.synthetic import flaws
from rdvar_jax.synthetic.draws import Draws
from rdvar_jax.synthetic.fields import (
    Frame,
    Window,
    between,
    blob,
    box,
    mixed,
    noise,
    polyline,
    smoothstep,
)
from rdvar_jax.synthetic.light import Light, cast_shadow
from rdvar_jax.synthetic.surface import Colour, Shot, Surface

DEFECTS = ("broken", "crack", "crushed", "discoloured", "foreign_body", "missing")

_HALF = 0.455  # of the card's side
_PITCH = 0.43
_POCKET, _TABLET = 0.195, 0.145  # radii
_THICK = 0.05  # of a tablet at its rim
_EMBOSSING = 0.036  # twice the pitch of the foil's dots
_TABLE: Colour = (0.035, 0.055, 0.075)
_COLOUR: Colour = (0.72, 0.38, 0.27)
_SPOTS: tuple[Colour, ...] = ((0.72, 0.66, 0.52), (0.30, 0.14, 0.08), (0.70, 0.60, 0.16))
_WHITENED: Colour = (0.68, 0.68, 0.70)
_HAIRS: tuple[Colour, ...] = ((0.02, 0.018, 0.016), (0.03, 0.06, 0.2))


@dataclass
class _Tablet:
    """A tablet within its window of the image."""

    window: Window
    solid: np.ndarray  # where it is, 0 to 1
    height: np.ndarray
    colour: np.ndarray  # [h, w, 3]
    dark: np.ndarray  # in grooves and cracks, 0 to 1


def draw(shot: Shot) -> tuple[Surface, Light]:
    """Draws the pack of one image on a table, and the light."""
    draws, flaw = shot.draws, shot.flaw
    light = Light.drawn(draws, azimuth=-2.1, height=0.95, key=0.9, fill=0.5)
    image = Frame.of_image(shot.size)
    frame = image.moved(0.5 + draws.normal(0.008), 0.5 + draws.normal(0.008), draws.normal(0.012))
    pockets = [frame.moved(u * _PITCH, v * _PITCH) for v in (-0.5, 0.5) for u in (-0.5, 0.5)]
    chosen = flaw.integer(len(pockets))
    surface, film = _table(shot), np.zeros((shot.size, shot.size), np.float32)
    _add_card(surface, film, light, frame, draws)
    powder = noise(draws, shot.size, 110, 2)
    batch = 1 + draws.normal(0.015)
    tablets, creases = [], np.zeros_like(film)
    for number, pocket in enumerate(pockets):
        defect = shot.defect if number == chosen else None
        window = pocket.window((-0.21, -0.21), (0.21, 0.21))
        near, pushed = pocket.cut(window), np.float32(0)
        if defect == "crushed":
            pushed, creases[window] = _buckle(near, shot)
        _add_dome(surface, film, near, window, pushed)
        # Drawn for every pocket, full or empty: a missing tablet must not change the others.
        shift, turn, tone = draws.normals(2), draws.uniform(0, 2 * np.pi), draws.normal(0.012)
        if defect != "missing":
            lying = pocket.moved(0.005 * float(shift[0]), 0.005 * float(shift[1]), turn)
            tablets.append(_tablet(lying.cut(window), window, batch + tone, powder, shot, defect))
    _lay(surface, tablets, light)
    surface.film = film
    if shot.defect == "crushed":
        surface.paint(creases, _WHITENED, 0.1, 0.4)
    elif shot.defect == "foreign_body":
        place = pockets[chosen].moved(flaw.uniform(-0.12, 0.12), flaw.uniform(-0.12, 0.12))
        colour = _HAIRS[flaw.integer(len(_HAIRS))]
        flaws.strand(
            surface,
            light,
            flaw,
            place,
            shot.severity,
            length=0.28,
            width=0.0095,
            bend=4.0,
            colour=colour,
        )
    return surface, light


def _table(shot: Shot) -> Surface:
    surface = Surface.plain(shot.size, _TABLE, 0.02, 0.5)
    patches, grain = noise(shot.draws, shot.size, 4, 2), noise(shot.draws, shot.size, 110)
    tone = 1 + np.float32(0.05) * patches + np.float32(0.07) * grain
    surface.diffuse = surface.diffuse * tone[..., None]
    return surface


def _add_card(surface: Surface, film: np.ndarray, light: Light, frame: Frame, draws: Draws) -> None:
    """Adds embossed foil, a little creased, under clear plastic."""
    pixel = 1.0 / frame.size
    edge = box(frame, _HALF, _HALF, 0.05)
    solid = smoothstep(pixel, -pixel, edge)
    surface.shadow(cast_shadow(solid, light, 0.025, 0.6), solid)
    turns = np.float32(2 * np.pi / _EMBOSSING)
    emboss = np.cos(turns * frame.u) * np.cos(turns * frame.v)
    pressed = np.float32(0.0005) * (1 + np.float32(0.25) * noise(draws, frame.size, 5))
    creases = np.float32(0.0014) * noise(draws, frame.size, 6, 3)
    height = np.float32(0.004) + pressed * emboss + creases
    surface.height = mixed(surface.height, height, solid)
    surface.gloss = mixed(surface.gloss, np.float32(0.55), solid)
    surface.rough = mixed(surface.rough, np.float32(0.38), solid)
    surface.diffuse = mixed(surface.diffuse, np.float32(0.09), solid[..., None])
    film += np.float32(0.006) * smoothstep(0, -0.008, edge)


def _add_dome(
    surface: Surface,
    film: np.ndarray,
    near: Frame,
    window: Window,
    pushed: np.ndarray | np.float32,
) -> None:
    """Adds a flat lid with a round shoulder and a steep wall; the foil below is a bit darker."""
    radius = np.hypot(near.u, near.v)
    inward = np.clip((np.float32(_POCKET) - radius) / np.float32(0.10), 0, 1)
    height = np.float32(0.006) + np.float32(0.085) * np.sqrt(inward * (2 - inward))
    height += np.float32(0.024) * np.maximum(1 - (radius / np.float32(_POCKET)) ** 2, 0)
    height = np.maximum(height - pushed, np.float32(0.004))
    film[window] = np.where(radius < _POCKET, height, film[window])
    shade = np.float32(0.16) * smoothstep(_POCKET, _POCKET - 0.012, radius)
    surface.visible[window] *= 1 - shade


def _buckle(near: Frame, shot: Shot) -> tuple[np.ndarray, np.ndarray]:
    """Returns the depth of a crater with folds in a dome, and the plastic's whitening, 0 to 1."""
    flaw = shot.flaw
    angle, reach = flaw.uniform(0, 2 * np.pi), between(0.11, 0.15, shot.severity)
    place = near.moved(0.07 * np.cos(angle), 0.07 * np.sin(angle), flaw.uniform(0, np.pi))
    distance = np.hypot(place.u, np.float32(1.4) * place.v) / np.float32(reach)
    inside = np.maximum(1 - distance, 0)
    folds = np.abs(np.sin(2 * np.arctan2(place.v, place.u) + np.float32(angle)))
    crater = np.minimum(inside, np.float32(0.9) - inside) * (1 - np.float32(0.4) * folds)
    # Plastic whitens where it is bent most: along the rim and the sharpest folds.
    rim = smoothstep(0.26, 0.08, np.abs(inside - np.float32(0.45)))
    ridge = smoothstep(0.30, 0.05, folds) * smoothstep(0, 0.15, inside)
    white = np.float32(between(0.6, 0.9, shot.severity)) * np.maximum(rim, ridge)
    return np.float32(between(0.11, 0.16, shot.severity)) * crater, white


def _tablet(
    frame: Frame, window: Window, tone: float, powder: np.ndarray, shot: Shot, defect: str | None
) -> _Tablet:
    """Makes a domed tablet with a rim, scored across."""
    pixel = 1.0 / shot.size
    powder = powder[window]
    radius = np.hypot(frame.u, frame.v)
    edge = radius - np.float32(_TABLET)
    if defect == "broken":
        edge = np.maximum(edge, _break(frame, powder, shot))
    dome = np.float32(0.034) * (1 - (radius / np.float32(_TABLET)) ** 2)
    rim = np.float32(1.1) * np.maximum(edge + np.float32(0.010), 0)
    score = smoothstep(0.012, 0.001, np.abs(frame.v))
    height = np.float32(_THICK) + dome - rim - np.float32(0.011) * score
    height += np.float32(0.0005) * powder
    dark = np.float32(0.22) * score
    grain = np.float32(tone) * (1 + np.float32(0.035) * powder)
    colour = np.array(_COLOUR, np.float32) * grain[..., None]
    if defect == "crack":
        depth = _crack(frame, shot)
        height -= np.float32(0.009) * depth
        dark = np.maximum(dark, np.float32(between(0.5, 0.9, shot.severity)) * depth)
    elif defect == "discoloured":
        colour = _discoloured(colour, frame, shot)
    return _Tablet(window, smoothstep(pixel, -pixel, edge), height, colour, dark)


def _lay(surface: Surface, tablets: list[_Tablet], light: Light) -> None:
    cover = np.zeros_like(surface.height)
    for tablet in tablets:
        cover[tablet.window] = np.maximum(cover[tablet.window], tablet.solid)
    surface.shadow(cast_shadow(cover, light, _THICK, 0.5), cover)
    for tablet in tablets:
        here, solid = tablet.window, tablet.solid
        surface.height[here] = mixed(surface.height[here], tablet.height, solid)
        surface.diffuse[here] = mixed(surface.diffuse[here], tablet.colour, solid[..., None])
        surface.gloss[here] = mixed(surface.gloss[here], np.float32(0.05), solid)
        surface.visible[here] = mixed(surface.visible[here], 1 - tablet.dark, solid)


def _break(frame: Frame, powder: np.ndarray, shot: Shot) -> np.ndarray:
    """Signed distance to the line along which a tablet broke."""
    turned = frame.moved(0, 0, shot.flaw.uniform(0, 2 * np.pi))
    left = between(0.095, 0.01, shot.severity)
    teeth = np.interp(turned.v, np.linspace(-0.15, 0.15, 17), 0.008 * shot.flaw.normals(17))
    rough = teeth.astype(np.float32) + np.float32(0.0012) * powder
    return turned.u - np.float32(left) + rough


def _crack(frame: Frame, shot: Shot) -> np.ndarray:
    """Depth of a crack from the rim into the tablet, 0 to 1."""
    flaw = shot.flaw
    inward = np.linspace(-1.05, between(0.4, 1.0, shot.severity), 9) * _TABLET
    points = np.stack([inward, 0.015 * flaw.normals(9) + 0.03 * flaw.normal()], axis=1)
    distance, along = polyline(frame.moved(0, 0, flaw.uniform(0, 2 * np.pi)), points)
    half = np.float32(between(0.0055, 0.010, shot.severity)) * (1 - np.float32(0.5) * along)
    return smoothstep(1.3, 0.5, distance / half)


def _discoloured(colour: np.ndarray, frame: Frame, shot: Shot) -> np.ndarray:
    flaw = shot.flaw
    other = np.array(_SPOTS[flaw.integer(len(_SPOTS))], np.float32)
    place = frame.moved(flaw.uniform(-0.07, 0.07), flaw.uniform(-0.07, 0.07))
    spot = smoothstep(0.012, -0.012, blob(flaw, place, flaw.uniform(0.055, 0.09)))
    share = np.float32(between(0.7, 0.97, shot.severity)) * spot
    return colour + (other - colour) * share[..., None]
