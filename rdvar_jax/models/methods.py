"""Methods by their names in the setting `model.name`."""

from rdvar_jax.errors import ConfigError
from rdvar_jax.models.reverse_distillation import ReverseDistillation
from rdvar_jax.models.stfpm import STFPM

METHODS: dict[str, type[ReverseDistillation]] = {
    "reverse_distillation": ReverseDistillation,
    "stfpm": STFPM,
}


def get_method(name: str) -> type[ReverseDistillation]:
    """Finds the method of a name.

    Raises:
        ConfigError: there is none.
    """
    if name not in METHODS:
        raise ConfigError(
            f"model.name={name} is not one of {', '.join(METHODS)}; a method of your own can be "
            "trained, evaluated and scored with, but not kept as a run."
        )
    return METHODS[name]


def name_of(model: ReverseDistillation) -> str:
    """Returns the name of a model's method; of one that has none, the class's."""
    names = [name for name, method in METHODS.items() if method is type(model)]
    return names[0] if names else type(model).__name__
