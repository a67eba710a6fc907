"""`rdvar prepare` on the command line."""

from pathlib import Path

from absl import flags

from rdvar_jax.command_line.settings import parse_flags
from rdvar_jax.errors import ConfigError

HELP = """
rdvar prepare --source synthetic --output FOLDER [--size 256] [--seed 0]
    Draw a data set of four categories with defects and masks: no download, no licence.

rdvar prepare --source tfds --manual_dir FOLDER --data_dir TFDS_FOLDER [--category NAME ...]
    Put image folders into TFDS sets (mvtec_ad/NAME), to be read with data.source=tfds.
"""


def run(argv: list[str]) -> int:
    """Runs the command; `argv` is its name and its arguments. Gives the exit code."""
    values = flags.FlagValues()
    flags.DEFINE_enum("source", None, ["synthetic", "tfds"], "what to make", flag_values=values)
    flags.DEFINE_string("output", None, "the folder to make", flag_values=values)
    flags.DEFINE_integer("size", 256, "side of the images, in pixels", flag_values=values)
    flags.DEFINE_integer("seed", 0, "other images for another seed", flag_values=values)
    flags.DEFINE_string("manual_dir", None, "the folder of categories", flag_values=values)
    flags.DEFINE_string("data_dir", None, "where TFDS keeps its sets", flag_values=values)
    flags.DEFINE_multi_string("category", [], "of manual_dir; else all", flag_values=values)
    parse_flags(values, argv)
    if values["source"].value == "tfds":
        return _pack(values)
    if values["source"].value is None or not values["output"].value:
        raise ConfigError(
            "give --source synthetic and --output FOLDER, or --source tfds, --manual_dir FOLDER "
            "and --data_dir TFDS_FOLDER."
        )
    return _draw(Path(values["output"].value), values)


def _draw(root: Path, values: flags.FlagValues) -> int:
    from rdvar_jax.commands.prepare import draw_set

    size, seed = (int(values[name].value or 0) for name in ("size", "seed"))
    categories = draw_set(root, size, seed)
    settings = f"--config configs/mvtec_resnet18.py:{categories[0]} --config.data.root={root}"
    print(f"drew {', '.join(categories)} in {root}; next: rdvar train {settings} --workdir W")
    return 0


def _pack(values: flags.FlagValues) -> int:
    manual_dir, data_dir = values["manual_dir"].value, values["data_dir"].value
    if not manual_dir or not data_dir:
        raise ConfigError("--source tfds needs --manual_dir FOLDER and --data_dir TFDS_FOLDER.")
    from rdvar_jax.commands.prepare import make_tfds_sets

    folders = make_tfds_sets(Path(manual_dir), Path(data_dir), values["category"].value or ())
    print("\n".join(map(str, folders)))
    print(f"next: rdvar train ... --config.data.source=tfds --config.data.root={data_dir}")
    return 0
