"""A run's good images for an int8 model, and the same with drawn flaws."""

from collections.abc import Sequence

import numpy as np

from rdvar_jax.commands.thresholds.threshold_images import good_images_of
from rdvar_jax.data.sets.inputs import decode_batches
from rdvar_jax.data.sets.records import HasPath
from rdvar_jax.errors import ConfigError
from rdvar_jax.runs.recipe import Recipe
from rdvar_jax.serving.int8.comparison import Images
from rdvar_jax.serving.int8.make_int8 import Groups
from rdvar_jax.synthetic.drawn_flaws import draw_flaw
from rdvar_jax.synthetic.draws import Draws

MOST = 96  # images; more add minutes and little else
FEWEST = 10  # with fewer a rank correlation says nothing
FEWEST_DRAWN = 24  # of each purpose
_SHARES = (0.375, 0.625)  # ends of calibration and choice; the rest is the check


def int8_images(recipe: Recipe) -> Groups:
    """Reads good images, held out by `data.validation` or else those of training.

    No test image is used. Of many images, a seeded choice.

    Raises:
        UserError: the run's images are not there any more, or they are too few.
    """
    _, images = good_images_of(recipe.config, ())
    if len(images) < FEWEST:
        raise ConfigError(
            f"--precision int8 needs {FEWEST} good images of the run, and it has {len(images)}; "
            "export with --precision float32."
        )
    return groups_of(_pixels(recipe, images))


def groups_of(pixels: np.ndarray) -> Groups:
    """Divides good images, uint8 [N, H, W, 3], and draws flaws on them.

    On each one, and on few images several, one after the other.
    """
    ends = [round(share * len(pixels)) for share in (0, *_SHARES, 1)]
    parts = []
    for part, (start, stop) in enumerate(zip(ends, ends[1:], strict=False)):
        # Ranges must hold for flaws that calibration does not see, so it sees more of them.
        each = 2 if part == 0 else 1
        good = pixels[start:stop]
        drawn = [
            draw_flaw(good[index % len(good)], Draws(0, "int8", part, index))
            for index in range(each * max(len(good), FEWEST_DRAWN))
        ]
        parts.append(Images(good, np.stack(drawn)))
    return Groups(*parts)


def _pixels(recipe: Recipe, images: Sequence[HasPath]) -> np.ndarray:
    order = np.argsort(Draws(0, "int8", "order").normals(len(images)), kind="stable")[:MOST]
    chosen = [images[index] for index in order]
    skip = _leave_out if recipe.config.data.on_error == "skip" else None
    batches = decode_batches(chosen, recipe.geometry, recipe.config.score.batch_size, skip)
    return np.concatenate([pixels for _, pixels in batches])


def _leave_out(image: HasPath, reason: str) -> None:
    """Training said so already."""
