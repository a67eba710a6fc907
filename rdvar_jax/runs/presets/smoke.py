"""Smoke test that runs anywhere in a minute, without weights: shows that everything works.

    rdvar train --config smoke:CATEGORY --config.data.root=FOLDER --workdir W
    rdvar evaluate --workdir W

An untrained, narrow teacher at 64 px: expect a loss below 0.2 and scores little better than
chance, such as an image AUROC of 0.57 on leather tiles.
"""

from rdvar_jax.runs.config import RANDOM_WEIGHTS, Config, default_config


def get_config(category: str = "") -> Config:
    """Returns a quarter of ResNet-18's width, random weights, small images, few epochs."""
    config = default_config()
    config.data.category = category
    config.data.image_size = 64
    config.teacher.arch = "resnet18"
    config.teacher.stem_width = 16
    config.teacher.weights = RANDOM_WEIGHTS
    config.train.epochs = 20
    return config
