"""`rdvar predict` on the command line."""

from pathlib import Path

from absl import flags

from rdvar_jax.command_line.settings import define_workdir, load_run
from rdvar_jax.errors import ConfigError

HELP = """
rdvar predict --workdir W --input FILES_OR_FOLDERS --output FOLDER [--save_maps] [--noheat_maps]
        [--checkpoint latest|best] [--config.SECTION.NAME=VALUE ...]
    Score any images; folders are searched at any depth, and --input may be given again. FOLDER gets
    scores.csv (path, raw score), heat_maps/ (PNG), and maps/ (raw float32 maps, .npy). The colour
    scale stands in each picture and is one for all: that of rdvar evaluate, else of these images.
"""


def run(argv: list[str]) -> int:
    """Runs the command; `argv` is its name and its arguments. Gives the exit code."""
    values = flags.FlagValues()
    define_workdir(values)
    flags.DEFINE_multi_string("input", [], "an image or a folder of them", flag_values=values)
    flags.DEFINE_string("output", None, "the folder to make", flag_values=values)
    flags.DEFINE_boolean("heat_maps", True, "write pictures", flag_values=values)
    flags.DEFINE_boolean("save_maps", False, "write the raw maps too", flag_values=values)
    config, workdir, which, extra = load_run(values, argv)
    if not values["input"].value or not values["output"].value:
        raise ConfigError("give --input with images or folders of them, and --output FOLDER.")
    from rdvar_jax.predict import predict

    output = Path(values["output"].value)
    # `--input *.png`: the shell puts all names but the first behind, without a flag.
    inputs = [Path(name) for name in (*values["input"].value, *extra)]
    heat_maps, save_maps = (bool(values[name].value) for name in ("heat_maps", "save_maps"))
    number = predict(
        config, workdir, inputs, output, which, heat_maps=heat_maps, save_maps=save_maps
    )
    print(f"scored {number} images: {output / 'scores.csv'}")
    return 0
