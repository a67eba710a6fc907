"""Losses of the teacher's tasks: tell places apart, name them, repaint them, spread them.

Each loss sees the three maps that reverse distillation will use. All but the last have a linear
head on each of them, so that all three must hold something, not only the deepest.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import random

from pretrain.images import MAP_STRIDE, NUM_MAP_CHANNELS, mean_pool
from pretrain.views import Views, crop

# Pixels between neighbours in the maps of layer1, layer2 and layer3 of every ResNet.
STRIDES = (4, 8, 16)

_EMBEDDING = 64
_TEMPERATURE = 0.1
_SAMPLES_AN_IMAGE = (24, 16, 8)


def init_heads(widths: tuple[int, ...], seed: int) -> dict[str, np.ndarray]:
    """Gives the linear heads of the losses, `{loss}{stage}`: [C, outputs].

    Args:
        widths: channels of layer1 to layer3.
        seed: of the random values.
    """
    rng = np.random.default_rng(seed)
    # What is compared must differ from the start; what is to hit a target starts at 0.
    heads = {
        f"contrast{stage}": rng.standard_normal((width, _EMBEDDING), np.float32)
        * np.float32(width**-0.5)
        for stage, width in enumerate(widths)
    }
    for stage, width in enumerate(widths):
        heads[f"describe{stage}"] = np.zeros((width, NUM_MAP_CHANNELS), np.float32)
        heads[f"repaint{stage}"] = np.zeros((width, 3 * _repainted(stage) ** 2), np.float32)
    return heads


def pretraining_loss(
    heads: dict[str, jax.Array],
    features: list[tuple[jax.Array, ...]],
    views: Views,
    key: jax.Array,
    spread_weight: float,
) -> jax.Array:
    """The weighted sum of the four losses.

    Args:
        heads: of `init_heads`.
        features: for each view the maps of layer1 to layer3, [B, H, W, C].
        views: what the features were computed from.
        key: draws the places that are compared.
        spread_weight: of the last loss.
    """

    def head(name: str, stage: int, x):
        return x @ heads[f"{name}{stage}"]

    # The first of four keys: the packaged teacher was drawn so.
    contrast = _contrast(partial(head, "contrast"), features, views, random.split(key, 4)[0])
    describe = _describe(partial(head, "describe"), features, views)
    repaint = _repaint(partial(head, "repaint"), features, views)
    return 0.3 * contrast + describe + repaint + spread_weight * _spread(features)


def _contrast(head, features, views: Views, key):
    """InfoNCE over places: the same place in the other view, against all other places sampled."""
    first_corner, second_corner = views.corners
    loss = jnp.zeros(())
    for stage, stride in enumerate(STRIDES):
        first, second = (view[stage] for view in features)
        side = first.shape[1]
        shift = (first_corner - second_corner) // stride
        # Rows and columns of the first view that are in the second too.
        low, high = jnp.maximum(0, -shift), jnp.minimum(side, side - shift)
        key, draw_key = random.split(key)
        draws = random.uniform(draw_key, (len(first), _SAMPLES_AN_IMAGE[stage], 2))
        places = low[:, None] + (draws * (high - low)[:, None]).astype(jnp.int32)
        rows = [
            _unit(head(stage, _take(view, where)).reshape(-1, _EMBEDDING))
            for view, where in ((first, places), (second, places + shift[:, None]))
        ]
        logits = rows[0] @ rows[1].T / _TEMPERATURE
        # A place that was drawn twice is not a negative of itself.
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


def _describe(head, features, views: Views):
    """Squared error of the numbers that were painted at each place, relative to their variance."""
    loss = jnp.zeros(())
    for view, corners in zip(features, views.corners, strict=True):
        maps = crop(views.maps, corners // MAP_STRIDE, view[0].shape[1])
        for stage, x in enumerate(view):
            targets = mean_pool(maps, STRIDES[stage] // MAP_STRIDE)
            loss += _relative_error(head(stage, _centred(x)), targets)
    return loss / (len(STRIDES) * len(features))


def _repainted(stage: int) -> int:
    """Pixels a side that are repainted for each place: half resolution for the deepest map."""
    return (4, 8, 8)[stage]


def _repaint(head, features, views: Views):
    """Squared error of the clean picture at each place, relative to its variance there.

    Half of the weight is on what differs from the place's mean colour, the texture.
    """
    loss = jnp.zeros(())
    for view, clean in zip(features, views.clean, strict=True):
        for stage, x in enumerate(view):
            side = _repainted(stage)
            small = mean_pool(clean, STRIDES[stage] // side)
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
    return loss / (len(STRIDES) * len(features))


def _centred(x):
    return x - x.mean((0, 1, 2))


def _relative_error(made, targets):
    mean = targets.mean((0, 1, 2))
    variance = jnp.mean((targets - mean) ** 2, (0, 1, 2)) + 1e-4
    return jnp.mean((made - (targets - mean)) ** 2 / variance)


def _spread(features):
    """Minus the logarithm of the number of directions that the unit vectors at all places fill.

    That number is tr(C)² / tr(C²) of their covariance C: C for equal variance along C axes, 1 for
    vectors on a line. Once around the mean of each photograph, so that places of one texture
    differ, and once around the mean of all.
    """
    loss = jnp.zeros(())
    for maps in zip(*features, strict=True):
        x = _unit(jnp.concatenate(maps))
        for mean in (x.mean((1, 2), keepdims=True), x.mean((0, 1, 2))):
            deviations = (x - mean).reshape(-1, x.shape[-1])
            covariance = deviations.T @ deviations / len(deviations)
            loss += jnp.log(jnp.sum(covariance**2)) - 2 * jnp.log(jnp.trace(covariance))
    return loss / (2 * len(STRIDES))
