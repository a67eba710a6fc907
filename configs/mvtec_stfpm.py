"""The preset `stfpm` as a file, to copy and change.

    rdvar train --config configs/mvtec_stfpm.py:CATEGORY --config.data.root=FOLDER --workdir W
    rdvar evaluate --workdir W

`rdvar_jax/runs/presets/stfpm.py` says what the preset is for.
"""

from rdvar_jax.config import Config, preset


def get_config(category: str = "") -> Config:
    """Returns the preset; settings are changed here, as in `config.train.epochs = 100`."""
    config = preset("stfpm", category)
    return config
