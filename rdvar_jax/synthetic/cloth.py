"""Plain-woven cloth in close-up: threads that wander, swell and cross one another."""

from dataclasses import dataclass

import numpy as np

from rdvar_jax.synthetic import flaws
from rdvar_jax.synthetic.draws import Draws
from rdvar_jax.synthetic.fields import (
    Frame,
    between,
    mixed,
    noise,
    smoothstep,
)
from rdvar_jax.synthetic.light import Light
from rdvar_jax.synthetic.surface import Colour, Shot, Surface

DEFECTS = ("foreign_body", "hole", "missing_thread", "pulled", "stain")

_THREADS = 27  # across the image
_TABLE = 97  # threads after which random properties repeat
_WARP: Colour = (0.155, 0.215, 0.285)
_WEFT: Colour = (0.46, 0.475, 0.47)
_BELOW: Colour = (0.05, 0.05, 0.055)  # the table that holes show
_GONE = np.float32(-1.6)  # height of a missing thread, in half threads
_STAINS: tuple[Colour, ...] = ((0.30, 0.22, 0.13), (0.25, 0.25, 0.27), (0.55, 0.20, 0.16))
_THREAD_ENDS: tuple[Colour, ...] = ((0.55, 0.05, 0.04), (0.02, 0.02, 0.02), (0.70, 0.50, 0.07))


@dataclass
class _Threads:
    """One of the two sets of threads, each [W, W]."""

    number: np.ndarray  # int32, index of the thread at a pixel
    across: np.ndarray  # -0.5 ... 0.5, from the thread's middle
    along: np.ndarray  # in threads of the other set
    half: np.ndarray  # half the thread's width
    tone: np.ndarray  # colour, relative
    gone: np.ndarray  # bool, where it is torn or missing


def draw(shot: Shot) -> tuple[Surface, Light]:
    """Draws the cloth of one image, and its light."""
    light = Light.drawn(shot.draws, azimuth=-2.2, height=0.75, key=0.95, fill=0.42)
    image = Frame.of_image(shot.size)
    place = image.moved(shot.flaw.uniform(0.22, 0.78), shot.flaw.uniform(0.22, 0.78))
    warp, weft = _threads(shot, image, place)
    if shot.defect == "hole":
        _tear(shot, place, warp, weft)
    gap = _leave_out(shot, place, warp, weft) if shot.defect == "missing_thread" else None
    surface = _weave(shot, warp, weft)
    if gap is not None:
        # Threads across the gap lose their support and sag into the shade of their neighbours.
        shade = np.float32(between(0.65, 0.45, shot.severity))
        surface.visible = surface.visible * np.where(gap, shade, np.float32(1))
        surface.claimed = gap
    if shot.defect == "stain":
        colour = _STAINS[shot.flaw.integer(len(_STAINS))]
        radius = shot.flaw.uniform(0.05, 0.12)
        flaws.stain(surface, shot.flaw, place, shot.severity, radius, colour)
    elif shot.defect == "foreign_body":
        colour = _THREAD_ENDS[shot.flaw.integer(len(_THREAD_ENDS))]
        length = shot.flaw.uniform(0.25, 0.5)
        flaws.strand(
            surface,
            light,
            shot.flaw,
            place,
            shot.severity,
            length=length,
            width=0.014,
            bend=2.5,
            colour=colour,
        )
    return surface, light


def _threads(shot: Shot, image: Frame, place: Frame) -> tuple[_Threads, _Threads]:
    draws = shot.draws
    frame = image.moved(0.5, 0.5, draws.normal(0.02))
    pitch = (1 + draws.normal(0.012)) / _THREADS
    s = frame.u / np.float32(pitch) + np.float32(draws.uniform(0, 20))
    t = frame.v / np.float32(1.06 * pitch) + np.float32(draws.uniform(0, 20))
    s += np.float32(0.10) * noise(draws, shot.size, 4, 3)
    t += np.float32(0.10) * noise(draws, shot.size, 4, 3)
    if shot.defect == "pulled":
        radius, angle = shot.flaw.uniform(0.10, 0.17), shot.flaw.uniform(0, 2 * np.pi)
        bump = np.maximum(1 - (place.u**2 + place.v**2) / np.float32(radius**2), 0) ** 2
        pull = between(1.0, 2.4, shot.severity)
        s += np.float32(pull * np.cos(angle)) * bump
        t += np.float32(pull * np.sin(angle)) * bump
    return _set_of_threads(draws, s, t), _set_of_threads(draws, t, s)


def _set_of_threads(draws: Draws, across: np.ndarray, along: np.ndarray) -> _Threads:
    number = np.floor(across).astype(np.int32)
    swell = _along_threads(draws.normals(_TABLE, 53), number, along * np.float32(0.55))
    each = number % _TABLE
    half = 0.455 * (1 + 0.035 * draws.normals(_TABLE)[each] + np.float32(0.07) * swell)
    tone = 1 + 0.055 * draws.normals(_TABLE)[each] + np.float32(0.045) * swell
    middle = across - np.floor(across) - np.float32(0.5)
    return _Threads(number, middle, along, half.clip(0.32, 0.5), tone, np.zeros(across.shape, bool))


def _along_threads(table: np.ndarray, number: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Makes noise that is smooth along a thread and independent between threads."""
    floor = np.floor(along)
    part = along - floor
    part = part * part * (3 - 2 * part)
    low, (rows, columns) = floor.astype(np.int32), table.shape
    first = number % rows * columns
    left = table.take(first + low % columns)
    return mixed(left, table.take(first + (low + 1) % columns), part)


def _tear(shot: Shot, place: Frame, warp: _Threads, weft: _Threads) -> None:
    radius = between(0.03, 0.075, shot.severity)
    longer = np.float32(shot.flaw.uniform(1.0, 2.2))
    turned = place.moved(0, 0, shot.flaw.uniform(0, np.pi))
    distance = np.hypot(turned.u / longer, turned.v) - np.float32(radius)
    for threads in (warp, weft):
        # Each thread tears at its own length on either side.
        ends = shot.flaw.normals(_TABLE, 2).clip(-1.5, 1)
        side = (threads.along > threads.along[_middle(place)]).astype(int)
        frayed = distance + np.float32(0.35 * radius) * ends[threads.number % _TABLE, side]
        threads.gone |= frayed < 0


def _leave_out(shot: Shot, place: Frame, warp: _Threads, weft: _Threads) -> np.ndarray:
    """Removes a stretch of one thread; returns where it was, visible or hidden."""
    threads = (warp, weft)[shot.flaw.integer(2)]
    middle = _middle(place)
    reach = between(4, 10, shot.severity)
    here = threads.number == threads.number[middle]
    here &= np.abs(threads.along - threads.along[middle]) < reach
    threads.gone |= here
    return here


def _middle(place: Frame) -> tuple[int, int]:
    """Returns the pixel at the origin."""
    row, column = np.unravel_index(np.argmin(np.hypot(place.u, place.v)), place.u.shape)
    return int(row), int(column)


def _weave(shot: Shot, warp: _Threads, weft: _Threads) -> Surface:
    fuzz = noise(shot.draws, shot.size, 90, 2)
    warp_height, weft_height = _thread_height(warp, 1), _thread_height(weft, -1)
    over = warp_height > weft_height
    top = np.maximum(warp_height, weft_height)
    fibre = np.where(over, _fibres(warp, fuzz), _fibres(weft, fuzz)) + fuzz
    tone = np.where(over, warp.tone, weft.tone) * (1 + np.float32(0.055) * fibre)
    tone *= 1 + np.float32(0.025) * noise(shot.draws, shot.size, 5, 2)
    thread = smoothstep(-1.5, -0.9, top)
    warp_colour, weft_colour = np.array(_WARP, np.float32), np.array(_WEFT, np.float32)
    colour = np.where(over[..., None], warp_colour, weft_colour) * tone[..., None]
    surface = Surface.plain(shot.size, _BELOW, 0.03, 0.45)
    surface.diffuse = mixed(surface.diffuse, colour, thread[..., None])
    surface.visible = mixed(np.float32(0.25), np.float32(1), smoothstep(-1.3, 0.7, top))
    relief = np.float32(0.7) * top + np.float32(0.05) * fibre * thread
    creases = np.float32(0.004) * noise(shot.draws, shot.size, 3, 2)
    surface.height = np.float32(0.42 / _THREADS) * relief + creases
    return surface


def _thread_height(threads: _Threads, sign: int) -> np.ndarray:
    """Computes height in half threads: round across, a wave along."""
    odd = np.where(threads.number % 2 == 0, np.float32(sign), np.float32(-sign))
    wave = odd * np.cos(np.float32(np.pi) * (threads.along - np.float32(0.5)))
    # Flattened: pressed cloth shows more of its threads than a sine would.
    wave = np.tanh(np.float32(1.6) * wave)
    part = threads.across / threads.half
    round_ = np.sqrt(np.maximum(1 - part * part, 0))
    height = np.float32(0.55) * wave + round_ - np.float32(0.6)
    return np.where((np.abs(part) < 1) & ~threads.gone, height, _GONE)


def _fibres(threads: _Threads, fuzz: np.ndarray) -> np.ndarray:
    """Makes the twist of a yarn: fine slanted lines, none of them quite straight."""
    turn = threads.along * np.float32(16) + threads.across * np.float32(11)
    return np.sin(turn + np.float32(1.7) * threads.number.astype(np.float32) + 2 * fuzz)
