"""`rdvar prepare`: draws a data set, or converts image folders to TFDS sets."""

from collections.abc import Sequence
from pathlib import Path

from rdvar_jax.data.sets.tfds_read import import_tfds
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
) -> list[Path]:
    """Converts image folders to TFDS sets, each completely or not at all.

    Args:
        manual_dir: the folder of categories.
        data_dir: the folder of TFDS sets; created if missing.
        categories: names; all in `manual_dir` by default.
        mask_orientation: as data.mask_orientation; the set's masks are upright.

    Returns:
        The folders of the sets.

    Raises:
        UserError: TFDS is not installed, or see `build_tfds`.
    """
    import_tfds()
    # Imported here, because it needs the extra "tfds".
    from rdvar_jax.data.sets.tfds_write import build_tfds

    return build_tfds(
        manual_dir.absolute(), data_dir.absolute(), categories, mask_orientation=mask_orientation
    )
