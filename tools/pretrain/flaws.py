"""Flaws on generated pictures, and changing poses: what the recipe `flaws` learns on.

Letters in shapes: B scenes, S side in pixels.
"""

import jax
import jax.numpy as jnp
from jax import random

from pretrain.images import draw_shape, make_grid

_NUM_KINDS = 6
_NUM_NUMBERS = 24


def add_flaws(key: jax.Array, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Puts a flaw on each picture: a stain, a foreign texture, a shift, a smear, a scratch, a dent.

    Args:
      key: another key, other flaws.
      images: RGB in 0-1, [B, S, S, 3].

    Returns:
      The pictures [B, S, S, 3], and how much each pixel changed in 0-1, [B, S, S].
    """
    draws = random.uniform(key, (len(images), _NUM_NUMBERS))
    flawed = jax.vmap(_flaw)(draws, images, jnp.roll(images, 1, 0))
    return flawed, jnp.abs(flawed - images).mean(-1)


def _flaw(numbers, image, other):
    size = image.shape[0]
    kind = jnp.floor(numbers[0] * _NUM_KINDS)
    is_scratch = kind == 4
    # A stroke for a scratch, mostly a body for the rest; never larger than a third of the picture.
    shape = numbers[1:12].at[9].multiply(jnp.where(is_scratch, 0.3, 1.0)).at[7].multiply(0.65)
    shape = shape.at[0:2].set(0.1 + 0.8 * shape[0:2])
    mask = draw_shape(shape, size=size)
    strength = jnp.exp(-2.0 * numbers[12])
    sign = jnp.where(numbers[13] < 0.5, -1.0, 1.0)
    tint = 1 + numbers[14] * (numbers[15:18] - 0.5) * 2

    local = jnp.sum(mask * image, (0, 1)) / (jnp.sum(mask) + 1e-3)
    stain = image + sign * 0.5 * strength * tint
    other_local = jnp.sum(mask * other, (0, 1)) / (jnp.sum(mask) + 1e-3)
    matched = other - other_local + local
    foreign = jnp.where(numbers[18] < 0.6, matched, other)
    distance = 2 + jnp.floor(6 * numbers[19])
    turn = 2 * jnp.pi * numbers[20]
    steps = jnp.stack([distance * jnp.sin(turn), distance * jnp.cos(turn)]).astype(jnp.int32)
    shifted = jnp.roll(image, steps, (0, 1))
    smeared = local + 0.3 * (_smooth(image) - local)
    scratch = jnp.clip(local + sign * (0.15 + 0.6 * strength) * tint, 0.0, 1.0)
    slope = jnp.stack([mask - jnp.roll(mask, 1, 0), mask - jnp.roll(mask, 1, 1)])
    sun = jnp.stack([jnp.sin(turn), jnp.cos(turn)]).reshape(2, 1, 1, 1)
    dent = image * (1 + 4 * strength * jnp.sum(sun * slope, 0))

    painted = jnp.stack(jnp.broadcast_arrays(stain, foreign, shifted, smeared, scratch + 0 * image))
    chosen = jnp.take(painted, jnp.minimum(kind, 4).astype(jnp.int32), 0)
    covered = image + mask * (chosen - image)
    return jnp.clip(jnp.where(kind == 5, dent, covered), 1e-3, 1.0)


def _smooth(image):
    for axis in (0, 1):
        for reach in (1, 2, 4):
            near = jnp.roll(image, reach, axis) + jnp.roll(image, -reach, axis)
            image = 0.5 * image + 0.25 * near
    return image


def pose(key: jax.Array, images: jax.Array, size: int, centres: jax.Array) -> jax.Array:
    """Cuts a square out of each picture, at random turned, scaled and shifted a little.

    By up to 6 degrees, 5 % and an eighth of the side; bilinear interpolation.

    Args:
      key: for the poses, another for every picture.
      images: [B, S, S, C].
      size: side of what is cut out.
      centres: of what is cut out, in pixels, [B, 2].

    Returns:
      [B, size, size, C].
    """
    num = len(images)
    draws = random.uniform(key, (4, num, 1, 1), minval=-1.0)
    rows, columns = make_grid(size)
    y, x = rows - (size - 1) / 2, columns - (size - 1) / 2
    angle, scale = 0.1 * draws[0], 1 + 0.05 * draws[1]
    v = scale * (jnp.cos(angle) * y + jnp.sin(angle) * x) + size / 8 * draws[2]
    u = scale * (jnp.cos(angle) * x - jnp.sin(angle) * y) + size / 8 * draws[3]
    v, u = v + centres[:, 0].reshape(-1, 1, 1), u + centres[:, 1].reshape(-1, 1, 1)
    return jax.vmap(_bilinear)(images, v, u)


def _bilinear(image, v, u):
    side = image.shape[0]
    v, u = jnp.clip(v, 0, side - 1.001), jnp.clip(u, 0, side - 1.001)
    top, left = jnp.floor(v).astype(jnp.int32), jnp.floor(u).astype(jnp.int32)
    down, right = (v - top)[..., None], (u - left)[..., None]
    upper = image[top, left] + right * (image[top, left + 1] - image[top, left])
    lower = image[top + 1, left] + right * (image[top + 1, left + 1] - image[top + 1, left])
    return upper + down * (lower - upper)
