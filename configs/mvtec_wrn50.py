"""The preset `wrn50` as a file, to copy and change.

    rdvar train --config configs/mvtec_wrn50.py:CATEGORY --config.data.root=FOLDER --workdir W
    rdvar evaluate --workdir W

`rdvar_jax/runs/presets/wrn50.py` says what the preset is for.
"""

from rdvar_jax.config import Config, preset


def get_config(category: str = "") -> Config:
    """Returns the preset; settings are changed here, as in `config.train.epochs = 100`."""
    config = preset("wrn50", category)
    return config
