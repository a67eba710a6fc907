"""Photographs of generated scenes: what the teacher sees in pretraining."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import random

from pretrain.images import clip, make_scenes
from rdvar_jax.models.teacher import normalise

NUM_VIEWS = 2  # photographs of each scene
# How much their exposure and colours differ, and the largest grain.
_JITTER, _NOISE = 0.4, 0.1

# Two views of a scene are cut out of a picture that is this much larger.
_MARGIN = 16
_CORNER_STEP = 16  # layer3's stride: the places of two views fall on each other


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Views:
    """Photographs of generated scenes, V of each, and what is known of them.

    Attributes:
        photographs: normalised as for the teacher, [V, B, S, S, 3].
        clean: the same pictures before the camera's faults, in 0-1.
        corners: where in the scene each was cut out, pixels in multiples of 16, int32 [V, B, 2].
        maps: what was painted, for the whole scene; see `images.Scenes`.
    """

    photographs: jax.Array
    clean: jax.Array
    corners: jax.Array
    maps: jax.Array


def make_views(key: jax.Array, num_photographs: int, size: int) -> Views:
    """Generates `num_photographs / NUM_VIEWS` scenes and photographs of them."""
    num_scenes = num_photographs // NUM_VIEWS
    scene_key, *view_keys = random.split(key, NUM_VIEWS + 1)
    scenes = make_scenes(scene_key, num_scenes, size + _MARGIN)
    photographs, clean, corners = [], [], []
    for key in view_keys:
        corner_key, camera_key = random.split(key)
        corner = random.randint(corner_key, (num_scenes, 2), 0, _MARGIN // _CORNER_STEP + 1)
        corner *= _CORNER_STEP
        picture = crop(scenes.images, corner, size)
        photographs.append(normalise(jnp.round(255 * photograph(camera_key, picture))))
        clean.append(picture)
        corners.append(corner)
    return Views(jnp.stack(photographs), jnp.stack(clean), jnp.stack(corners), scenes.maps)


def crop(images: jax.Array, corners: jax.Array, size: int) -> jax.Array:
    """Cuts [B, size, size, C] out of [B, S, S, C] at the corners, int32 [B, 2]."""

    def cut(image, corner):
        start = (corner[0], corner[1], 0)
        return jax.lax.dynamic_slice(image, start, (size, size, image.shape[-1]))

    return jax.vmap(cut)(images, corners)


def photograph(key: jax.Array, images: jax.Array) -> jax.Array:
    """Another photograph of the same scenes: exposure, white balance, gamma, blur and grain.

    Args:
        key: for the random changes, another for every image.
        images: [B, S, S, 3] in 0-1.
    """
    exposure, balance, gamma, blur, deviation, grain = random.split(key, 6)
    each = (len(images), 1, 1)
    images = clip(images) ** jnp.exp(0.5 * _JITTER * random.normal(gamma, (*each, 1)))
    images = images * jnp.exp(0.3 * _JITTER * random.normal(exposure, (*each, 1)))
    images = images * jnp.exp(0.1 * _JITTER * random.normal(balance, (*each, 3)))
    soft = _binomial(_binomial(images, 1), 2)
    share = jnp.maximum(random.uniform(blur, (*each, 1), minval=-1.0), 0.0)
    images = images + share * (soft - images)
    deviations = _NOISE * random.uniform(deviation, (*each, 1)) ** 2
    return clip(images + deviations * random.normal(grain, images.shape))


def _binomial(x, axis):
    return 0.5 * x + 0.25 * (jnp.roll(x, 1, axis) + jnp.roll(x, -1, axis))
