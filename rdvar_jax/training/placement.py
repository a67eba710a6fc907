"""Placement of the training set in memory, by its size and the budgets."""

import logging
from dataclasses import dataclass

from rdvar_jax.errors import ConfigError

logger = logging.getLogger("rdvar_jax")


@dataclass(frozen=True)
class Placement:
    """Location of the training images.

    Attributes:
        in_memory: the decoded images are in host memory and on each device; else they are
            decoded again in each epoch.
        features_kept: each device holds their teacher features instead of the images.
    """

    in_memory: bool
    features_kept: bool


def choose_placement(
    image_bytes: int,
    feature_bytes: int,
    *,
    memory_budget_gb: float,
    cache_features: str,
    cache_budget_gb: float,
) -> Placement:
    """Chooses a placement and logs it.

    Args:
        image_bytes: size of all decoded images.
        feature_bytes: size of the teacher's features of all images, on one device.
        memory_budget_gb: `data.memory_budget_gb`, in 10^9 bytes.
        cache_features: `train.cache_features`: "on", "off" or "auto".
        cache_budget_gb: `train.cache_budget_gb`.

    Raises:
        ConfigError: `cache_features` is "on" and the features do not fit.
    """
    images_gb, features_gb = image_bytes / 1e9, feature_bytes / 1e9
    in_memory = images_gb <= memory_budget_gb
    if cache_features == "on" and not in_memory:
        raise ConfigError(
            f"train.cache_features=on needs the decoded images in memory: {images_gb:.3g} GB, over "
            f"data.memory_budget_gb={memory_budget_gb:g}; raise the budget, or use auto."
        )
    if cache_features == "on" and features_gb > cache_budget_gb:
        raise ConfigError(
            f"train.cache_features=on needs {features_gb:.3g} GB on each device, over "
            f"train.cache_budget_gb={cache_budget_gb:g}; raise the budget, or use auto."
        )
    features_kept = in_memory and (
        cache_features == "on" or (cache_features == "auto" and features_gb <= cache_budget_gb)
    )
    logger.info(
        "training images %s (%.3g GB decoded, data.memory_budget_gb=%g)",
        "held in memory" if in_memory else "stay on disk and are decoded in each epoch",
        images_gb,
        memory_budget_gb,
    )
    logger.info(
        "teacher features %s (train.cache_features=%s; %.3g GB per device, budget %g GB)",
        "computed once and kept" if features_kept else "computed in every step",
        cache_features,
        features_gb,
        cache_budget_gb,
    )
    return Placement(in_memory, features_kept)
