"""`rdvar predict` on the command line."""

import argparse
import math
from collections.abc import Sequence
from typing import Any

from rdvar_jax.cli.parser import Parser, Switch
from rdvar_jax.cli.settings import Setting, add_ignore, add_min_area, add_run, load_run
from rdvar_jax.errors import ConfigError, one_line

DESCRIPTION = """Score any images, or watch a folder for new ones.

The output folder gets scores.csv and scores.jsonl (path, raw score and, with a threshold, verdict
and regions with boxes in image pixels), heat_maps/ and overlays/ (PNG), masks/ and maps/ (raw,
.npy). All images share one colour scale: that of rdvar evaluate, or else of these images.

With --watch, images are scored as they are dropped into the one folder of --input, until Ctrl-C or
SIGTERM, and rows are appended. The exit code is 1 if --fail_on_defect found a defective image.
"""

EXAMPLES = """\
rdvar predict --workdir W --input PHOTOS --output O
rdvar predict --workdir W --input a.png b.png 'parts/**/*.png' --output O --fail_on_defect
rdvar predict --workdir W --input PHOTOS --output O --threshold 0.4 --save_masks --noheat_maps
rdvar predict --watch --workdir W --input FOLDER --output O --interval 2
"""


def add_arguments(parser: Parser) -> None:
    """Adds the command's flags."""
    add_run(parser, "score.batch_size", "parallel.num_devices")
    parser.add_path(
        "--input",
        action="extend",
        nargs="+",
        required=True,
        metavar="PATH",
        help="images, folders (searched at any depth) or quoted patterns; may be repeated",
    )
    parser.loose_words = "input"
    parser.add_path(
        "--output", "directory", required=True, metavar="FOLDER", help="a new or empty folder"
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="SCORE",
        help="an image is defective if its score is above it (default: that of rdvar threshold)",
    )
    parser.add_argument(
        "--pixel_threshold",
        type=float,
        metavar="VALUE",
        help="a pixel is defective if its map is above it (default: the image's threshold)",
    )
    add_ignore(parser)
    add_min_area(parser)
    parser.add_argument(
        "--fail_on_defect", action=Switch, help="exit with code 1 if an image is defective"
    )
    parser.add_argument(
        "--on_error",
        choices=("fail", "skip"),
        default="fail",
        help="on an image that cannot be read: end the command, or skip the image",
    )
    parser.add_argument(
        "--heat_maps", action=Switch, default=True, help="write images beside their heat maps"
    )
    parser.add_argument(
        "--overlays", action=Switch, default=True, help="write images overlaid with heat maps"
    )
    parser.add_argument("--save_masks", action=Switch, help="write masks of defective pixels")
    parser.add_argument("--save_maps", action=Switch, help="write the raw maps")
    parser.add_argument(
        "--map_size",
        choices=("model", "original"),
        default="model",
        help="size of raw maps: as scored, or as the image",
    )
    parser.add_argument(
        "--color_scale",
        type=_color_scale,
        metavar="LOW,HIGH",
        help="raw map values of no heat and of full heat (default: see above)",
    )
    parser.add_argument("--watch", action=Switch, help="score images as they arrive in a folder")
    parser.add_argument(
        "--interval",
        type=float,
        default=1.0,
        metavar="SECONDS",
        help="with --watch: time between two scans; a file is scored once unchanged between two",
    )


def run(args: argparse.Namespace, settings: Sequence[Setting]) -> int:
    """Runs the command and returns the exit code."""
    config, workdir, checkpoint = load_run(args, settings)
    from rdvar_jax.commands.image_writer import Outputs, Thresholds
    from rdvar_jax.commands.predict import predict
    from rdvar_jax.commands.watch import watch

    common: dict[str, Any] = dict(
        thresholds=Thresholds(args.threshold, args.pixel_threshold),
        wanted=Outputs(
            args.heat_maps,
            args.overlays,
            args.save_masks,
            args.save_maps,
            maps_at_own_size=args.map_size == "original",
        ),
        scale=args.color_scale,
        need_verdicts=args.fail_on_defect,
    )
    if args.watch:
        if len(args.input) != 1:
            raise ConfigError(
                f"--watch takes one folder, and --input names {len(args.input)} paths."
            )
        folder, interval = args.input[0], args.interval
        found = watch(config, workdir, folder, args.output, checkpoint, interval=interval, **common)
    else:
        on_error = args.on_error
        found = predict(
            config, workdir, args.input, args.output, checkpoint, on_error=on_error, **common
        )
    verdicts = "no verdicts" if found.num_defective is None else f"{found.num_defective} defective"
    skipped = f", {found.num_skipped} skipped" if found.num_skipped else ""
    rows = one_line(str(args.output / "scores.csv"))
    print(f"scored {found.num_images} images, {verdicts}{skipped}: {rows}")
    return int(args.fail_on_defect and bool(found.num_defective))


def _color_scale(text: str) -> tuple[float, float]:
    try:
        low, high = map(float, text.split(","))
        if -math.inf < low < high < math.inf:
            return low, high
    except ValueError:
        pass
    raise ConfigError(f"--color_scale {text} must be two raw map values, the lower first.")
