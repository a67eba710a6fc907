"""The recipe `flaws`: flawed places shall be farther from a scene's good photographs than others.

What counts is a distance as detectors use it: one minus the largest cosine between a place's
features and those of the good photographs, on each map as it is, without a head. So the task is the
later use, on generated parts: two good photographs are the memory, two flawed ones are asked about.

Beside it, places of a good photograph must be nearer to their own scene's other photograph than to
those of other scenes. Without that, features hold little but what tells flaws apart.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, random

from pretrain.flaws import add_flaws, pose
from pretrain.images import light_up, make_scenes, photograph
from rdvar_jax.models.teacher import normalise

_NUM_GOOD, _NUM_FLAWED = 2, 2

# Change of a pixel, averaged over a place, in 0-1: above is flawed, below is good, and what lies
# between, or beside a flaw, is neither.
_FLAWED, _GOOD = 0.03, 0.004

_MARGIN = 0.05  # the distance by which flawed places shall be farther, in cosines
_HARDEST = 0.3  # weight of the good places that are farthest; the others count alike
_SAMPLES_A_MAP = (16, 12, 8)
_TEMPERATURE = 0.1


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FlawViews:
    """Photographs of generated scenes: the good ones first, then the flawed ones.

    Attributes:
      photographs: normalised as for the teacher, [4, B, S, S, 3].
      changes: how much a flaw changed each pixel of the flawed ones, 0-1, [2, B, S, S].
    """

    photographs: jax.Array
    changes: jax.Array


@dataclass(frozen=True)
class FindFlaws:
    """The task.

    Attributes:
      exposure: largest change of brightness between photographs, natural logarithm.
      tilt: the same from one side of a photograph to the other.
      contrast: largest change of contrast between photographs, natural logarithm of an exponent.
      jitter: how much gamma and colours of the photographs differ.
      noise: the largest grain of the photographs.
      contrast_loss: weight of telling scenes apart.
    """

    exposure: float
    tilt: float
    contrast: float
    jitter: float
    noise: float
    contrast_loss: float

    num_views = _NUM_GOOD + _NUM_FLAWED

    def make_views(self, key: jax.Array, num_photographs: int, size: int) -> FlawViews:
        """Generates `num_photographs / 4` scenes.

        Half of them are textures, each photograph of another stretch of it, so that features must
        hold what all of a texture has in common. The others are the same part in other poses.
        """
        num_scenes = num_photographs // self.num_views
        num_plain = num_scenes // 2
        side = 2 * size + size // 4
        scene_key, strength_key, order_key, *view_keys = random.split(key, 3 + self.num_views)
        scenes = make_scenes(scene_key, num_scenes, side, num_plain).images
        # Some parts are always lit alike, others never.
        strength = random.uniform(strength_key, (num_scenes,))
        low, high = 0.28 * side, 0.72 * side
        stretches = jnp.array([[low, low], [low, high], [high, low], [high, high]])
        stretches = random.permutation(order_key, stretches)
        is_plain = (jnp.arange(num_scenes) < num_plain).reshape(-1, 1)
        photographs, changes = [], []
        for view, key in enumerate(view_keys):
            pose_key, flaw_key, light_key, camera_key = random.split(key, 4)
            centres = jnp.where(is_plain, stretches[view], side / 2)
            picture = pose(pose_key, scenes, size, centres)
            if view >= _NUM_GOOD:
                picture, change = add_flaws(flaw_key, picture)
                changes.append(change)
            lighting = (strength * v for v in (self.exposure, self.tilt, self.contrast))
            picture = light_up(light_key, picture, *lighting)
            photo = photograph(camera_key, picture, self.jitter, self.noise)
            photographs.append(normalise(jnp.round(255 * photo)))
        return FlawViews(jnp.stack(photographs), jnp.stack(changes))

    def init_heads(self, widths: tuple[int, ...], seed: int) -> dict[str, np.ndarray]:
        """None."""
        return {}

    def loss(
        self,
        heads: dict[str, jax.Array],
        features: list[tuple[jax.Array, ...]],
        views: FlawViews,
        key: jax.Array,
    ) -> jax.Array:
        """How well distances tell flawed places, on each map and on the sum; and scenes apart.

        Args:
          heads: not used.
          features: for each view the maps of layer1 to layer3, [B, H, W, C].
          views: what the features were computed from.
          key: for the places that are compared between scenes.
        """
        total = summed = jnp.zeros(())
        for stage, maps in enumerate(zip(*features, strict=True)):
            x = jnp.stack(maps)
            x = x * lax.rsqrt(jnp.sum(x * x, -1, keepdims=True) + 1e-8)
            distances = _distances(x)
            total += _ranking_loss(distances, _mean_pool(views.changes, 4 * 2**stage)) / 4
            summed += jnp.repeat(jnp.repeat(distances, 2**stage, 2), 2**stage, 3)
            scenes = _scene_loss(x[:_NUM_GOOD], random.fold_in(key, stage), _SAMPLES_A_MAP[stage])
            total += self.contrast_loss * scenes / len(features[0])
        return total + _ranking_loss(summed, _mean_pool(views.changes, 4)) / 4


def _distances(x: jax.Array) -> jax.Array:
    """Of each place in the flawed photographs, from the nearest one in its scene's good ones.

    Args:
      x: one of the teacher's maps for each view, of length 1 at each place, [V, B, h, h, C].

    Returns:
      [2, B, h, h].
    """
    _, num_scenes, side, _, channels = x.shape
    x = x.reshape(len(x), num_scenes, side * side, channels)
    memory = jnp.concatenate(list(x[:_NUM_GOOD]), 1)
    cosines = jnp.einsum("vbqc,bmc->vbqm", x[_NUM_GOOD:], memory)
    return (1 - cosines.max(-1)).reshape(_NUM_FLAWED, num_scenes, side, side)


def _ranking_loss(distances: jax.Array, changes: jax.Array) -> jax.Array:
    """Softplus of good less flawed distance, in margins, over all such pairs of a scene.

    Args:
      distances: [V, B, h, h].
      changes: what flaws changed at each place, [V, B, h, h].
    """
    around = lax.reduce_window(changes, -jnp.inf, lax.max, (1, 1, 3, 3), (1, 1, 1, 1), "SAME")
    level, flawed, good = (
        jnp.moveaxis(x, 0, 1).reshape(x.shape[1], -1)
        for x in (distances / _MARGIN, changes > _FLAWED, around < _GOOD)
    )
    num_flawed, num_good = flawed.sum(1), good.sum(1)
    is_pair = flawed[:, :, None] & good[:, None, :]
    pairs = jax.nn.softplus(level[:, None, :] - level[:, :, None])
    alike = jnp.sum(pairs * is_pair, (1, 2)) / jnp.maximum(num_flawed * num_good, 1)
    # A soft maximum over the good places: they decide an image's score.
    farthest = jax.nn.logsumexp(jnp.where(good, 2 * level, -1e9), 1) / 2
    farthest -= jnp.log(jnp.maximum(num_good, 1)) / 2
    above = jax.nn.softplus(farthest[:, None] - level)
    hardest = jnp.sum(above * flawed, 1) / jnp.maximum(num_flawed, 1)
    of_scene = (1 - _HARDEST) * alike + _HARDEST * hardest
    counts = (num_flawed > 0) & (num_good > 0)
    return jnp.sum(jnp.where(counts, of_scene, 0)) / jnp.maximum(counts.sum(), 1)


def _scene_loss(x: jax.Array, key: jax.Array, num_samples: int) -> jax.Array:
    """InfoNCE over scenes: which one a place of the first good photograph is from.

    A scene's likeness to a place is the largest cosine with a place of its second photograph.

    Args:
      x: maps of the two good photographs, of length 1 at each place, [2, B, h, h, C].
      key: for the places.
      num_samples: places a scene.
    """
    _, num_scenes, side, _, channels = x.shape
    first, second = x.reshape(2, num_scenes, side * side, channels)
    places = random.randint(key, (num_scenes, num_samples, 1), 0, side * side)
    asked = jnp.take_along_axis(first, places, 1).reshape(-1, channels)
    likeness = jnp.einsum("qc,bmc->qbm", asked, second).max(-1)
    own = jnp.repeat(jnp.arange(num_scenes), num_samples)
    log_shares = jax.nn.log_softmax(likeness / _TEMPERATURE)
    return -jnp.take_along_axis(log_shares, own[:, None], 1).mean()


def _mean_pool(x, factor: int):
    *leading, side, _ = x.shape
    side //= factor
    return x.reshape(*leading, side, factor, side, factor).mean((-3, -1))
