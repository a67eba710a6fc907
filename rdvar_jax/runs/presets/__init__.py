"""Presets: named settings to start from, one module each."""

from importlib import import_module

from rdvar_jax.runs.config import Config

PRESETS = ("wrn50", "resnet18", "demo", "smoke", "stfpm")


def preset(name: str, category: str = "") -> Config:
    """Returns the settings of a preset, to change and use.

    Args:
        name: one of PRESETS.
        category: a subfolder of `data.root`; empty if it is set later.

    Raises:
        ValueError: no preset has this name.
    """
    if name not in PRESETS:
        raise ValueError(f"no preset is named {name!r}; there are {', '.join(PRESETS)}")
    return import_module(f"rdvar_jax.runs.presets.{name}").get_config(category)
