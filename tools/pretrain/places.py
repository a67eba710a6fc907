"""The recipes' losses: tell places of generated scenes apart, name them, repaint them, spread them.

Each sees the three maps that reverse distillation will use and has a linear head (or two) on each
of them, so that all three must hold something, not only the deepest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import random

from pretrain.images import MAP_STRIDE, NUM_MAP_CHANNELS, crop, make_scenes, photograph
from rdvar_jax.models.teacher import normalise

# Pixels between neighbours in the maps of layer1, layer2 and layer3 of every ResNet.
STRIDES = (4, 8, 16)

_EMBEDDING = 64
_TEMPERATURE = 0.1
_SAMPLES_AN_IMAGE = (24, 16, 8)

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


@dataclass(frozen=True)
class Places:
    """A task: photographs of scenes, and losses on what the teacher sees at each place.

    Attributes:
      losses: names in `_LOSSES`, with weights.
      num_views: photographs of each scene.
      jitter: how much the exposure and colours of the photographs differ.
      noise: the largest grain of the photographs.
    """

    losses: Mapping[str, float]
    num_views: int = 1
    jitter: float = 0.5
    noise: float = 0.05

    def make_views(self, key: jax.Array, num_photographs: int, size: int) -> Views:
        """Generates `num_photographs / num_views` scenes and photographs of them."""
        num_scenes = num_photographs // self.num_views
        scene_key, *view_keys = random.split(key, self.num_views + 1)
        margin = _MARGIN if self.num_views > 1 else 0
        scenes = make_scenes(scene_key, num_scenes, size + margin)
        photographs, clean, corners = [], [], []
        for key in view_keys:
            corner_key, camera_key = random.split(key)
            corner = random.randint(corner_key, (num_scenes, 2), 0, margin // _CORNER_STEP + 1)
            picture = crop(scenes.images, corner * _CORNER_STEP, size)
            photo = photograph(camera_key, picture, self.jitter, self.noise)
            photographs.append(normalise(jnp.round(255 * photo)))
            clean.append(picture)
            corners.append(corner * _CORNER_STEP)
        stacked = jnp.stack(photographs), jnp.stack(clean), jnp.stack(corners)
        return Views(*stacked, scenes.maps)

    def init_heads(self, widths: tuple[int, ...], seed: int) -> dict[str, np.ndarray]:
        """The linear heads of the losses, `{loss}{stage}`: [C, outputs].

        Args:
          widths: channels of layer1 to layer3.
          seed: of the random values.
        """
        outputs = {
            "contrast": lambda stage: _EMBEDDING,
            "describe": lambda stage: NUM_MAP_CHANNELS,
            "repaint": lambda stage: 3 * _repainted(stage) ** 2,
        }
        # What is compared must differ from the start; what is to hit a target starts at 0.
        gains = {"contrast": 1.0}
        rng = np.random.default_rng(seed)
        heads = {}
        for name in self.losses:
            if name not in outputs:
                continue
            for stage, width in enumerate(widths):
                head = rng.standard_normal((width, outputs[name](stage)), np.float32)
                heads[f"{name}{stage}"] = head * np.float32(gains.get(name, 0.0) * width**-0.5)
        return heads

    def loss(
        self,
        heads: dict[str, jax.Array],
        features: list[tuple[jax.Array, ...]],
        views: Views,
        key: jax.Array,
    ) -> jax.Array:
        """The weighted sum of the losses.

        Args:
          heads: of `init_heads`.
          features: for each view the maps of layer1 to layer3, [B, H, W, C].
          views: what the features were computed from.
          key: for losses that sample.
        """
        batch = _Batch(features, views)
        total = jnp.zeros(())
        keys = random.split(key, len(self.losses))
        for (name, weight), key in zip(self.losses.items(), keys, strict=True):
            total += weight * _LOSSES[name](partial(_linear, heads, name), batch, key)
        return total


@dataclass(frozen=True)
class _Batch:
    features: list[tuple[jax.Array, ...]]
    views: Views


def _linear(heads, name: str, stage: int, x):
    return x @ heads[f"{name}{stage}"]


def _contrast(head, batch: _Batch, key):
    """InfoNCE over places: the same place in the other view, against all other places sampled."""
    first_corner, second_corner = batch.views.corners
    loss = 0.0
    for stage, stride in enumerate(STRIDES):
        first, second = (features[stage] for features in batch.features)
        side = first.shape[1]
        shift = (first_corner - second_corner) // stride
        # Rows and columns of the first view that lie in the second as well.
        low, high = jnp.maximum(0, -shift), jnp.minimum(side, side - shift)
        key, draw_key = random.split(key)
        draws = random.uniform(draw_key, (len(first), _SAMPLES_AN_IMAGE[stage], 2))
        places = low[:, None] + (draws * (high - low)[:, None]).astype(jnp.int32)
        rows = [
            _unit(head(stage, _take(view, where)).reshape(-1, _EMBEDDING))
            for view, where in ((first, places), (second, places + shift[:, None]))
        ]
        logits = rows[0] @ rows[1].T / _TEMPERATURE
        # A place that was drawn twice is no negative of itself.
        image = jnp.arange(len(first))[:, None] * side * side
        names = (image + places[..., 0] * side + places[..., 1]).reshape(-1)
        twin = (names[:, None] == names[None]) & ~jnp.eye(len(names), dtype=bool)
        logits = jnp.where(twin, -1e9, logits)
        for axis in (0, 1):
            loss -= jnp.mean(jnp.diag(jax.nn.log_softmax(logits, axis)))
    return loss / (2 * len(STRIDES))


def _take(x, places):
    return jax.vmap(lambda image, where: image[where[:, 0], where[:, 1]])(x, places)


def _unit(x):
    return x * jax.lax.rsqrt(jnp.sum(x * x, -1, keepdims=True) + 1e-8)


def _describe(head, batch: _Batch, key):
    """Squared error of the numbers that were painted at each place, relative to their variance."""
    loss = 0.0
    for features, corners in zip(batch.features, batch.views.corners, strict=True):
        size = features[0].shape[1]
        maps = crop(batch.views.maps, corners // MAP_STRIDE, size)
        for stage, x in enumerate(features):
            targets = _mean_pool(maps, STRIDES[stage] // MAP_STRIDE)
            loss += _relative_error(head(stage, _centred(x)), targets)
    return loss / (len(STRIDES) * len(batch.features))


def _repainted(stage: int) -> int:
    """Pixels a side that are repainted for each place: half resolution for the deepest map."""
    return (4, 8, 8)[stage]


def _repaint(head, batch: _Batch, key):
    """Squared error of the clean picture at each place, relative to its variance there.

    Half of the weight is on what differs from the place's mean colour, the texture.
    """
    loss = 0.0
    for features, clean in zip(batch.features, batch.views.clean, strict=True):
        for stage, x in enumerate(features):
            side = _repainted(stage)
            small = _mean_pool(clean, STRIDES[stage] // side)
            rows = small.shape[1] // side
            patches = small.reshape(len(small), rows, side, rows, side, 3).swapaxes(2, 3)
            patches = patches.reshape(len(small), rows, rows, side * side, 3)
            mean = patches.mean(3, keepdims=True)
            made = head(stage, _centred(x)).reshape(patches.shape)
            made_mean = made.mean(3, keepdims=True)
            # Faint textures count as much as strong ones.
            detail = patches - mean
            detail /= jnp.sqrt(jnp.mean(detail**2, (1, 2, 3, 4), keepdims=True)) + 0.02
            error = jnp.mean((made - made_mean - detail) ** 2)
            loss += 0.5 * error + 0.5 * _relative_error(made_mean[..., 0, :], mean[..., 0, :])
    return loss / (len(STRIDES) * len(batch.features))


def _centred(x):
    return x - x.mean((0, 1, 2))


def _relative_error(made, targets):
    mean = targets.mean((0, 1, 2))
    variance = jnp.mean((targets - mean) ** 2, (0, 1, 2)) + 1e-4
    return jnp.mean((made - (targets - mean)) ** 2 / variance)


def _mean_pool(x, factor: int):
    batch, side, _, channels = x.shape
    side //= factor
    return x.reshape(batch, side, factor, side, factor, channels).mean((2, 4))


def _spread(head, batch: _Batch, key):
    """Minus the logarithm of the number of directions that the unit vectors at all places fill.

    That number is tr(C)² / tr(C²) of their covariance C: C for equal variance along C axes, 1 for
    vectors on a line. Once around the mean of each photograph, so that places of one texture
    differ, and once around the mean of all.
    """
    loss = 0.0
    for maps in zip(*batch.features, strict=True):
        x = _unit(jnp.concatenate(maps))
        for mean in (x.mean((1, 2), keepdims=True), x.mean((0, 1, 2))):
            deviations = (x - mean).reshape(-1, x.shape[-1])
            covariance = deviations.T @ deviations / len(deviations)
            loss += jnp.log(jnp.sum(covariance**2)) - 2 * jnp.log(jnp.trace(covariance))
    return loss / (2 * len(STRIDES))


_LOSSES: dict[str, Any] = {
    "contrast": _contrast,
    "describe": _describe,
    "repaint": _repaint,
    "spread": _spread,
}
