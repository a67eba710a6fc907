"""What a teacher can be asked to learn from generated pictures: one entry of `RECIPES` each."""

from dataclasses import dataclass

from pretrain.places import Places


@dataclass(frozen=True)
class Recipe:
    """A pretraining task.

    Attributes:
      about: one line for the help text and the file's metadata.
      task: makes the pictures and the loss.
      is_trained: if not, only the statistics of the pictures are used.
    """

    about: str
    task: Places
    is_trained: bool = True


_MIXED = {"contrast": 0.3, "describe": 1.0, "repaint": 1.0}

RECIPES = {
    "filters": Recipe(
        "no training: a filter bank, random layers, statistics of generated images",
        Places({}),
        is_trained=False,
    ),
    "contrast": Recipe(
        "find each place of one view again in the other view",
        Places({"contrast": 1.0}, num_views=2),
    ),
    "dense": Recipe(
        "read off, at each place, the formula that painted it", Places({"describe": 1.0})
    ),
    "mixed": Recipe(
        "contrast, dense, and repaint each place as it was before grain and blur",
        Places(_MIXED, num_views=2, jitter=0.4, noise=0.1),
    ),
    "spread": Recipe(
        "mixed, with features that fill many directions",
        Places({**_MIXED, "spread": 0.5}, num_views=2, jitter=0.4, noise=0.1),
    ),
}
