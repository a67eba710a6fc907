"""Pictures made from formulas, inside a jitted function: textures, and scenes of textured shapes.

A batch first makes a pool of one-channel texture fields, an equal share from each family. Every
scene then picks a few of them, gives them colours, paints shapes and strokes over a background
("dead leaves") and lights the result. What was painted where is kept as a map of numbers, for the
loss that learns to read it back.

Letters in shapes: B scenes, T textures, S side in pixels.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax import random

FAMILIES = ("noise", "grating", "weave", "cells", "cracks", "julia")

# Texture scale in cycles a pixel: from a third of a 64 px crop to close to the Nyquist limit.
FREQUENCIES = (0.03, 0.35)

# Numbers that describe a texture: family (one hot), log frequency, doubled angle, sharpness.
_NUM_TRAITS = len(FAMILIES) + 4
# A map holds a texture's traits, its two colours, and how much of an outline is near.
NUM_MAP_CHANNELS = _NUM_TRAITS + 6 + 1
MAP_STRIDE = 4

_TEXTURES_A_SCENE = 3
_NUM_LEAVES = 6
_NUM_CELLS = 16
_JULIA_STEPS = 10


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Scenes:
    """A batch of generated pictures.

    Attributes:
      images: RGB in 0-1, [B, S, S, 3].
      maps: what was painted, averaged over 4 x 4 pixels, [B, S / 4, S / 4, NUM_MAP_CHANNELS].
    """

    images: jax.Array
    maps: jax.Array


def make_scenes(key: jax.Array, num_scenes: int, size: int) -> Scenes:
    """Generates a batch.

    Args:
      key: determines the pictures.
      num_scenes: B.
      size: S, a multiple of 4.
    """
    pool_key, scene_key = random.split(key)
    each = -(-num_scenes // len(FAMILIES))
    fields, traits = _make_pool(pool_key, each, size)

    def scene(key):
        pick_key, paint_key = random.split(key)
        picks = random.randint(pick_key, (_TEXTURES_A_SCENE,), 0, len(fields))
        return _paint(paint_key, fields[picks], traits[picks])

    return Scenes(*jax.vmap(scene)(random.split(scene_key, num_scenes)))


def clip(images: jax.Array) -> jax.Array:
    """Keeps colours in 0-1, and off 0."""
    return jnp.clip(images, 1e-3, 1.0)


def mean_pool(x: jax.Array, factor: int) -> jax.Array:
    """Means over squares of factor x factor: [..., S, S, C] to [..., S / factor, S / factor, C]."""
    *leading, side, _, channels = x.shape
    rows = side // factor
    return x.reshape(*leading, rows, factor, rows, factor, channels).mean((-4, -2))


def _make_pool(key, each: int, size: int):
    """Fields [T, S, S] of mean 0 and deviation 1, and their traits."""
    made = [
        jax.vmap(partial(_texture, family=family, size=size))(random.split(key, each))
        for family, key in enumerate(random.split(key, len(FAMILIES)))
    ]
    return tuple(jnp.concatenate(items) for items in zip(*made, strict=True))


def _texture(key, *, family: int, size: int):
    number_key, bend_key, family_key = random.split(key, 3)
    # One draw for all numbers: every further one lengthens the compilation.
    numbers = iter(random.uniform(number_key, (11,)))
    low, high = jnp.log(FREQUENCIES[0]), jnp.log(FREQUENCIES[1])
    level = next(numbers)
    frequency = jnp.exp(low + level * (high - low))
    angle = next(numbers) * jnp.pi
    stretch = 1 + 1.5 * next(numbers) ** 2
    sharpness = next(numbers)

    # Positions in periods of the texture, turned and stretched, bent a little by smooth noise.
    rows, columns = _make_grid(size)
    bend = jnp.maximum(1.5 * next(numbers) - 0.5, 0.0) / frequency
    rows = rows + size * next(numbers)
    rows = rows + bend * _noise(bend_key, size, frequency / 4, 0.0, angle, 0.5)
    columns = columns + size * next(numbers)
    u = (jnp.cos(angle) * columns + jnp.sin(angle) * rows) * frequency
    v = (jnp.cos(angle) * rows - jnp.sin(angle) * columns) * frequency / stretch

    name, kind = FAMILIES[family], next(numbers)
    if name == "noise":
        field = _noise(family_key, size, frequency, 8 * (stretch - 1), angle, 0.1 + kind)
    elif name == "grating":
        field = jnp.sin(2 * jnp.pi * u)
    elif name == "weave":
        over = jnp.sin(2 * jnp.pi * u)
        under = jnp.sin(2 * jnp.pi * v)
        field = jnp.where(kind < 0.5, over * under, jnp.maximum(over, under))
    elif name in ("cells", "cracks"):
        first, second = _two_nearest(family_key, u, v)
        field = first if name == "cells" else second - first
    else:
        field = _julia(kind, u / 6, v / 6)

    # Sharper: towards a drawing in two tones. Relief: lit from one side, as leather or cast metal.
    gain = 0.3 + 6 * sharpness**3
    field = _standard(jnp.tanh(gain * (_standard(field) + next(numbers) - 0.5)))
    sun = 2 * jnp.pi * next(numbers)
    down, right = field - jnp.roll(field, 1, 0), field - jnp.roll(field, 1, 1)
    relief = down * jnp.cos(sun) + right * jnp.sin(sun)
    field = _standard(jnp.where(next(numbers) < 0.3, relief, field))

    turn = 2 * angle
    traits = jnp.concatenate(
        [
            jax.nn.one_hot(family, len(FAMILIES)),
            jnp.stack([4 * level - 2, jnp.cos(turn), jnp.sin(turn), 2 * sharpness - 1]),
        ]
    )
    return field, traits


def _make_grid(size: int):
    axis = jnp.arange(size, dtype=jnp.float32)
    return axis.reshape(-1, 1), axis.reshape(1, -1)


def _standard(field):
    return (field - field.mean()) / (field.std() + 1e-3)


def _noise(key, size: int, frequency, focus, angle, bandwidth):
    """White noise through a band in frequency and, where `focus` is over 0, in direction."""
    spectrum = jnp.fft.rfft2(random.normal(key, (size, size)))
    fy = jnp.fft.fftfreq(size).reshape(-1, 1)
    fx = jnp.fft.rfftfreq(size).reshape(1, -1)
    radius = jnp.hypot(fx, fy) + 0.25 / size
    octaves = jnp.log(radius / frequency) / bandwidth
    band = jnp.exp(-0.5 * octaves**2) + 0.05 * frequency / radius
    direction = jnp.exp(focus * (jnp.cos(2 * (jnp.arctan2(fy, fx) - angle)) - 1))
    return _standard(jnp.fft.irfft2(spectrum * band * direction, (size, size)))


def _two_nearest(key, u, v):
    """Distances to the nearest and second nearest of random points that repeat every 4 units."""
    points = random.uniform(key, (_NUM_CELLS, 2, 1, 1), maxval=4.0)
    du = jnp.abs((u - points[:, 0]) % 4.0 - 2.0) - 2.0
    dv = jnp.abs((v - points[:, 1]) % 4.0 - 2.0) - 2.0
    distances = du * du + dv * dv
    first = distances.min(0)
    second = jnp.where(distances > first, distances, 16.0).min(0)
    return jnp.sqrt(first), jnp.sqrt(second)


def _julia(share, u, v):
    """Escape times of z² + c; tiled by folding the plane, c near the Mandelbrot set's edge."""
    turn = 2 * jnp.pi * share
    cx = 0.5 * jnp.cos(turn) - 0.25 * jnp.cos(2 * turn) - 0.05
    cy = 0.5 * jnp.sin(turn) - 0.25 * jnp.sin(2 * turn)
    x, y = 1.2 * _fold(u), 1.2 * _fold(v)
    speed = jnp.zeros_like(x)
    for _ in range(_JULIA_STEPS):
        x, y = x * x - y * y + cx, 2 * x * y + cy
        x, y = jnp.clip(x, -4, 4), jnp.clip(y, -4, 4)
        speed = speed + jnp.exp(-(x * x + y * y))
    return speed


def _fold(x):
    return jnp.abs((x % 2.0) - 1.0) * 2.0 - 1.0


def _paint(key, fields, traits):
    """One scene [S, S, 3] and its maps."""
    size = fields.shape[-1]
    number_key, leaf_key = random.split(key)
    numbers = random.uniform(number_key, (13,))
    busy = jnp.maximum(1.5 * numbers[0] - 0.5, 0.0)
    # A fifth of the scenes have a plain background, as behind an object.
    contrast = jnp.exp(-2.5 * numbers[1]) * jnp.where(numbers[2] < 0.2, 0.1, 1.0)
    colours = _colours(numbers[3:10], contrast)

    image = _tint(fields[0], colours)
    maps = jnp.concatenate([traits[0], colours.reshape(6) * 2 - 1])
    maps = jnp.broadcast_to(maps, (size // MAP_STRIDE, size // MAP_STRIDE, len(maps)))
    outline = jnp.zeros((size // MAP_STRIDE, size // MAP_STRIDE, 1))
    draws = random.uniform(leaf_key, (_NUM_LEAVES, 21))
    masks = jax.vmap(partial(_draw_shape, size=size))(draws[:, :11])
    masks = masks * (draws[:, 11] < busy).reshape(-1, 1, 1, 1)
    small, edges = (mean_pool(x, MAP_STRIDE) for x in (masks, 4 * masks * (1 - masks)))
    for index in range(_NUM_LEAVES):
        which = index % len(fields)
        leaf_contrast = jnp.exp(-2.5 * draws[index, 12])
        own = _colours(draws[index, 13:20], leaf_contrast)
        # Half of the shapes differ only slightly from their background.
        similar = colours + 0.5 * leaf_contrast * (own - own.mean())
        own = jnp.clip(jnp.where(draws[index, 20] < 0.5, similar, own), 0.0, 1.0)
        image = image + masks[index] * (_tint(fields[which], own) - image)
        leaf = jnp.concatenate([traits[which], own.reshape(6) * 2 - 1])
        maps = maps + small[index] * (leaf - maps)
        outline = jnp.maximum(outline * (1 - small[index]), edges[index])
    maps = jnp.concatenate([maps, 4 * outline], -1)
    return clip(image * _light(numbers[10:], size)), maps


def _colours(numbers, contrast):
    """Two colours [2, 3] around a common one, from seven numbers in 0-1; mostly dull."""
    base = 0.1 + 0.8 * numbers[0]
    tint = 0.4 * (numbers[1:4] - 0.5) * numbers[4]
    delta = 0.5 * contrast * (1 + 1.6 * (jnp.roll(numbers[1:4], 1) * numbers[5] - 0.25))
    delta = jnp.where(numbers[6] < 0.5, delta, -delta)
    return jnp.clip(jnp.stack([base + tint - delta, base + tint + delta]), 0.0, 1.0)


def _tint(field, colours):
    share = jnp.clip(0.5 + 0.25 * field, -0.25, 1.25)[..., None]
    return colours[0] + share * (colours[1] - colours[0])


def _draw_shape(numbers, *, size: int):
    """A soft mask [S, S, 1] from 11 numbers in 0-1: a thin bent stroke, a solid shape or a ring."""
    row, column, turn, a, b, c, width, radius, corners, solid, soft = numbers
    rows, columns = _make_grid(size)
    y, x = rows - row * size, columns - column * size
    turn = 2 * jnp.pi * turn
    x, y = jnp.cos(turn) * x + jnp.sin(turn) * y, jnp.cos(turn) * y - jnp.sin(turn) * x

    half_length = size * (0.08 + 0.5 * a)
    bent = y + size * 0.2 * (b - 0.5) * jnp.cos(x / half_length * (1 + 3 * c))
    half_width = 0.4 + 2.5 * width**2
    stroke = jnp.minimum(half_width - jnp.abs(bent), half_length - jnp.abs(x))

    radius = 1.5 * (0.4 * size) ** radius
    y = y * (1 + 1.5 * b * b)
    rho, theta = jnp.hypot(x, y), jnp.arctan2(y, x)
    corners = jnp.floor(3 + 5 * corners)
    sector = 2 * jnp.pi / corners
    polygon = jnp.cos(sector / 2) / jnp.cos(theta % sector - sector / 2)
    flower = 1 + 0.35 * c * jnp.cos(corners * theta)
    body = radius * jnp.where(a < 0.5, polygon, flower) - rho
    body = jnp.where(c > 0.85, jnp.minimum(body, rho - 0.7 * radius), body)

    depth = jnp.where(solid < 0.35, stroke, body)
    return jax.nn.sigmoid(depth * jnp.exp(2 * soft - 0.5))[..., None]


def _light(numbers, size: int):
    """Light that falls off to one side, and from the middle."""
    tilt = 0.6 * (numbers - 0.5)
    rows, columns = _make_grid(size)
    y, x = rows / size - 0.5, columns / size - 0.5
    light = 1 + tilt[0] * x + tilt[1] * y - jnp.abs(tilt[2]) * (x * x + y * y)
    return light[..., None]
