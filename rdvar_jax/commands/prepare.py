"""`rdvar prepare`: draws a data set, or converts image folders to TFDS sets."""

from collections.abc import Sequence
from pathlib import Path

from rdvar_jax.data.pixels.reading import MAX_PIXELS, OWN_FULL_SCALE, reading_problems
from rdvar_jax.data.sets.tfds_read import import_tfds
from rdvar_jax.errors import ConfigError
from rdvar_jax.synthetic import CATEGORIES, generate


def draw_set(output: Path, size: int = 256, seed: int = 0) -> tuple[str, ...]:
    """Draws every category of `rdvar_jax.synthetic` into a folder.

    Args:
        output: the folder; see `generate` for what it may already contain.
        size: side of the images, in pixels.
        seed: of the images.

    Returns:
        The names of the categories.

    Raises:
        UserError: see `generate`.
    """
    generate(output, size=size, seed=seed)
    return CATEGORIES


def make_tfds_sets(
    manual_dir: Path,
    data_dir: Path,
    categories: Sequence[str] = (),
    mask_orientation: str = "own",
    *,
    full_scale: int | str = OWN_FULL_SCALE,
    max_pixels: int = MAX_PIXELS,
) -> list[Path]:
    """Converts image folders to TFDS sets, each completely or not at all.

    Args:
        manual_dir: the folder of categories.
        data_dir: the folder of TFDS sets; created if missing.
        categories: names; all in `manual_dir` by default.
        mask_orientation: as data.mask_orientation; the set's masks are upright.
        full_scale: as `data.full_scale`; the stored images have 8 bits.
        max_pixels: as `data.max_pixels`.

    Returns:
        The folders of the sets.

    Raises:
        UserError: TFDS is not installed, or see `build_tfds`.
    """
    for problem in reading_problems(full_scale, max_pixels):
        raise ConfigError(problem.replace("data.", "--"))
    import_tfds()
    # Imported here, because it needs the extra "tfds".
    from rdvar_jax.data.sets.tfds_write import build_tfds

    return build_tfds(
        manual_dir.absolute(),
        data_dir.absolute(),
        categories,
        mask_orientation=mask_orientation,
        full_scale=full_scale,
        max_pixels=max_pixels,
    )
