"""The package's own small teacher at 128 px: no download, minutes on two CPU cores.

    rdvar prepare --source synthetic --output parts
    rdvar train --config demo:nut --config.data.root=parts --workdir W
    rdvar evaluate --workdir W

`make demo` does this for all four drawn categories. The teacher is for demonstrations only: for
your own images take the preset resnet18, with ImageNet weights (docs/teacher_card.md).
"""

from rdvar_jax.runs.config import Config, default_config
from rdvar_jax.weights.procedural import ARCH, PROCEDURAL, STEM_WIDTH


def get_config(category: str = "") -> Config:
    """Returns the embedded teacher, small images, few epochs."""
    config = default_config()
    config.data.category = category
    config.data.image_size = 128
    config.teacher.arch = ARCH
    config.teacher.stem_width = STEM_WIDTH
    config.teacher.weights = PROCEDURAL
    config.train.epochs = 60
    config.train.batch_size = 8  # twice the steps for the same arithmetic
    return config
