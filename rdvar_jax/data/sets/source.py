"""Where a category's images come from."""

from pathlib import Path

from rdvar_jax.data.sets.folder import find_category
from rdvar_jax.data.sets.records import Category
from rdvar_jax.data.sets.tfds_read import find_packed

SOURCES = ("folder", "tfds")


def find_images(
    root: Path, category: str, layout: str = "auto", source: str = "folder"
) -> Category:
    """The images of `category`, each list sorted by name.

    Args:
        root: the folder of categories, or what `rdvar prepare --source tfds` wrote into.
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
