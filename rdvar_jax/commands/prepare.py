"""`rdvar prepare`: a set of drawn images, or image folders as TFDS sets."""

from collections.abc import Sequence
from pathlib import Path

from rdvar_jax.data.sets.tfds_read import import_tfds
from rdvar_jax.synthetic import CATEGORIES, generate


def draw_set(output: Path, size: int = 256, seed: int = 0) -> tuple[str, ...]:
    """Draws every category of `rdvar_jax.synthetic` into a folder.

    Args:
        output: the folder; see `generate` for what may be there already.
        size: side of the images, in pixels.
        seed: another seed gives other images.

    Returns:
        The names of the categories.

    Raises:
        UserError: see `generate`.
    """
    generate(output, size=size, seed=seed)
    return CATEGORIES


def make_tfds_sets(manual_dir: Path, data_dir: Path, categories: Sequence[str] = ()) -> list[Path]:
    """Puts image folders into TFDS sets, each whole or not at all.

    Args:
        manual_dir: the folder of categories.
        data_dir: where TFDS keeps its sets; made if missing.
        categories: names; all in `manual_dir` by default.

    Returns:
        The folders of the sets.

    Raises:
        UserError: TFDS is not installed, or see `build_tfds`.
    """
    import_tfds()
    # Here, since it imports TFDS, which the extra "tfds" brings.
    from rdvar_jax.data.sets.tfds_write import build_tfds

    return build_tfds(manual_dir.absolute(), data_dir.absolute(), categories)
