"""`rdvar predict` on the command line."""

import math
from pathlib import Path
from typing import Any

from absl import flags

from rdvar_jax.command_line.settings import define_workdir, load_run
from rdvar_jax.errors import ConfigError

HELP = """
rdvar predict --workdir W --input FILES_OR_FOLDERS --output FOLDER [--threshold X]
        [--pixel_threshold X] [--fail_on_defect] [--on_error fail|skip] [--noheat_maps]
        [--nooverlays] [--save_masks] [--save_maps] [--map_size model|original]
        [--color_scale LOW,HIGH] [--checkpoint latest|best] [--config.SECTION.NAME=VALUE ...]
    Score any images; folders are searched at any depth, patterns such as 'parts/**/*.png' may
    stand between quotes, and --input may be given again. FOLDER gets scores.csv and scores.jsonl
    (path, raw score, and with a threshold verdict and regions with boxes in pixels of the image),
    heat_maps/ and overlays/ (PNG), masks/ and maps/ (raw, .npy). The threshold is that of rdvar
    threshold, or --threshold. The colour scale is one for all images: that of rdvar evaluate, else
    of these images.
rdvar predict --watch --workdir W --input FOLDER --output FOLDER [--interval 1] [...]
    Score images as they are dropped into a folder, until Ctrl-C or SIGTERM, and append to
    scores.csv and scores.jsonl. A file is taken when it did not change for one interval (seconds).
"""


def run(argv: list[str]) -> int:
    """Runs the command; `argv` is its name and its arguments. Gives the exit code."""
    values = flags.FlagValues()
    define_workdir(values)
    _define_flags(values)
    config, workdir, which, extra = load_run(values, argv)
    if not values["input"].value or not values["output"].value:
        raise ConfigError("give --input with images or folders of them, and --output FOLDER.")
    from rdvar_jax.commands.image_writer import Outputs, Thresholds
    from rdvar_jax.commands.predict import predict
    from rdvar_jax.commands.watch import watch

    output = Path(values["output"].value)
    # `--input *.png`: the shell puts all names but the first behind, without a flag.
    inputs = [Path(name) for name in (*values["input"].value, *extra)]
    names = ("heat_maps", "overlays", "save_masks", "save_maps")
    fail_on_defect = bool(values["fail_on_defect"].value)
    common: dict[str, Any] = dict(
        thresholds=Thresholds(values["threshold"].value, values["pixel_threshold"].value),
        wanted=Outputs(
            *(bool(values[name].value) for name in names),
            maps_at_own_size=values["map_size"].value == "original",
        ),
        scale=_color_scale(values["color_scale"].value),
        need_verdicts=fail_on_defect,
    )
    if values["watch"].value:
        if len(inputs) != 1:
            raise ConfigError(f"--watch takes one folder, and --input names {len(inputs)} paths.")
        interval = float(values["interval"].value or 0)
        found = watch(config, workdir, inputs[0], output, which, interval=interval, **common)
    else:
        on_error = str(values["on_error"].value)
        found = predict(config, workdir, inputs, output, which, on_error=on_error, **common)
    verdicts = "no verdicts" if found.num_defective is None else f"{found.num_defective} defective"
    skipped = f", {found.num_skipped} skipped" if found.num_skipped else ""
    print(f"scored {found.num_images} images, {verdicts}{skipped}: {output / 'scores.csv'}")
    return int(fail_on_defect and bool(found.num_defective))


def _define_flags(values: flags.FlagValues) -> None:
    text = "an image, a folder of them, or a pattern"
    flags.DEFINE_multi_string("input", [], text, flag_values=values)
    flags.DEFINE_string("output", None, "the folder to make", flag_values=values)
    text = "an image is defective where its score is above it"
    flags.DEFINE_float("threshold", None, text, flag_values=values)
    text = "a pixel is defective where the map is above it"
    flags.DEFINE_float("pixel_threshold", None, text, flag_values=values)
    text = "exit code 1 where an image is defective"
    flags.DEFINE_boolean("fail_on_defect", False, text, flag_values=values)
    text = "of an image that cannot be read"
    flags.DEFINE_enum("on_error", "fail", ["fail", "skip"], text, flag_values=values)
    flags.DEFINE_boolean("heat_maps", True, "image beside heat map", flag_values=values)
    flags.DEFINE_boolean("overlays", True, "heat over the image, at its size", flag_values=values)
    flags.DEFINE_boolean("save_masks", False, "write the defective pixels", flag_values=values)
    flags.DEFINE_boolean("save_maps", False, "write the raw maps too", flag_values=values)
    text = "of raw maps: as scored, or as large as the image"
    flags.DEFINE_enum("map_size", "model", ["model", "original"], text, flag_values=values)
    text = "raw map values of no heat and of full heat"
    flags.DEFINE_list("color_scale", [], text, flag_values=values)
    flags.DEFINE_boolean("watch", False, "score what comes into a folder", flag_values=values)
    flags.DEFINE_float("interval", 1.0, "seconds between two looks", flag_values=values)


def _color_scale(words: list[str] | None) -> tuple[float, float] | None:
    if not words:
        return None
    try:
        low, high = map(float, words)
        if -math.inf < low < high < math.inf:
            return low, high
    except ValueError:
        pass
    raise ConfigError(
        f"--color_scale {','.join(words)} must be two raw map values, the lower first."
    )
