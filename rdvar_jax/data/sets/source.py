"""Sources of a category's images: folders or TFDS sets."""

from pathlib import Path

from rdvar_jax.data.sets.folder import find_category
from rdvar_jax.data.sets.records import Category
from rdvar_jax.data.sets.tfds_read import find_packed

SOURCES = ("folder", "tfds")


def find_images(
    root: Path, category: str, layout: str = "auto", source: str = "folder"
) -> Category:
    """Finds the images of `category`, each list sorted by name.

    Args:
        root: the folder of categories, or the `--data_dir` of `rdvar prepare --source tfds`.
        category: the name of one.
        layout: of folders; see `find_category`.
        source: one of SOURCES.

    Raises:
        DataError: see `find_category` and `find_packed`.
        ConfigError: see `find_packed`.
    """
    if source == "tfds":
        return find_packed(root, category)
    return find_category(root, category, layout)
