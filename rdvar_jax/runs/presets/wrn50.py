"""The paper's setting: WideResNet50, 256 px, batch 16, 200 epochs, L_var on D1.

    rdvar train --config wrn50:carpet --config.data.root=MVTEC_AD --workdir W
    rdvar evaluate --workdir W

The teacher's weights come from the cache or are downloaded. The paper reports, over the fifteen
categories, a mean image AUROC of 0.992 and pixel AUROC of 0.980 (0.985 and 0.978 with
--config.loss.lambda_var=0); this project has not measured that yet.
"""

from rdvar_jax.runs.config import Config, default_config


def get_config(category: str = "") -> Config:
    """Returns the defaults, which are the paper's settings."""
    config = default_config()
    config.data.category = category
    return config
