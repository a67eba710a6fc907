"""A ResNet-18 teacher: a seventh of the arithmetic, for small machines and quick ablations.

    rdvar train --config resnet18:screw --config.data.root=MVTEC_AD --workdir W
    rdvar evaluate --workdir W

Ten epochs (--config.train.epochs=10) of screw give an image AUROC of 0.87 and a pixel AUROC of
0.987 (docs/benchmarks/screw_resnet18_cpu.json); all 200 have not been measured yet.
"""

from rdvar_jax.runs.config import Config, default_config


def get_config(category: str = "") -> Config:
    """Returns the paper's settings with a smaller backbone."""
    config = default_config()
    config.data.category = category
    config.teacher.arch = "resnet18"
    return config
