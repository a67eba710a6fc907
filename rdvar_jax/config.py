"""Public address of `rdvar_jax.runs.config`, for config files."""

from rdvar_jax.runs.config import BEST_METRICS as BEST_METRICS
from rdvar_jax.runs.config import RANDOM_WEIGHTS as RANDOM_WEIGHTS
from rdvar_jax.runs.config import Config as Config
from rdvar_jax.runs.config import default_config as default_config
from rdvar_jax.runs.presets import PRESETS as PRESETS
from rdvar_jax.runs.presets import preset as preset
