"""Synthetic photographs of parts: a data set that needs no download and no licence.

Four categories, each with its own normal variation (light, position, angle, texture, tolerances,
noise) and its own defects with exact masks. A part is a height field with materials (`surface`),
lit (`light`) and photographed (`camera`); the mask is where a defect changes the field.
"""

from rdvar_jax.synthetic.picture import CATEGORIES, DEFECTS, render
from rdvar_jax.synthetic.write import generate

__all__ = ["CATEGORIES", "DEFECTS", "generate", "render"]
