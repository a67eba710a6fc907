"""`rdvar prepare` on the command line."""

from pathlib import Path

from absl import flags

from rdvar_jax.command_line.settings import parse_flags
from rdvar_jax.errors import ConfigError

HELP = """
rdvar prepare --source synthetic --output FOLDER [--size 256] [--seed 0]
    Draw a data set of four categories with defects and masks: no download, no licence.
"""


def run(argv: list[str]) -> int:
    """Runs the command; `argv` is its name and its arguments. Gives the exit code."""
    values = flags.FlagValues()
    flags.DEFINE_enum("source", None, ["synthetic"], "what to make", flag_values=values)
    flags.DEFINE_string("output", None, "the folder to make", flag_values=values)
    flags.DEFINE_integer("size", 256, "side of the images, in pixels", flag_values=values)
    flags.DEFINE_integer("seed", 0, "other images for another seed", flag_values=values)
    parse_flags(values, argv)
    if values["source"].value is None or not values["output"].value:
        raise ConfigError("give --source synthetic and --output FOLDER.")
    from rdvar_jax.data.synthetic import CATEGORIES, generate

    root = Path(values["output"].value)
    size, seed = (int(values[name].value or 0) for name in ("size", "seed"))
    generate(root, size=size, seed=seed)
    settings = f"--config configs/mvtec_resnet18.py:{CATEGORIES[0]} --config.data.root={root}"
    print(f"drew {', '.join(CATEGORIES)} in {root}; next: rdvar train {settings} --workdir W")
    return 0
