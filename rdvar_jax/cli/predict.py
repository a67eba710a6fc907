"""`rdvar predict` on the command line."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rdvar_jax.cli.parser import Parser, Switch
from rdvar_jax.cli.quick_imports import quick_imports
from rdvar_jax.cli.settings import Setting, add_ignore, add_min_area, add_run, load_run
from rdvar_jax.cli.start import prepare_memory, start_jax
from rdvar_jax.errors import ConfigError, one_line

if TYPE_CHECKING:  # importing it would slow down --help
    from rdvar_jax.commands.predicting.prediction_checks import Counts

VERDICTS = "-verdicts"  # ends the name of a bundle's output that is not given

DESCRIPTION = """Score any images, or watch a folder for new ones.

The output folder gets index.html, which shows all images, the worst first; scores.csv and
scores.jsonl (path, raw score and, with a threshold, verdict and regions with boxes in image
pixels); overlays/ (the image under its heat, with outlines, verdict and score), heat_maps/, masks/
and maps/ (raw, .npy). All images share one colour scale: that of rdvar evaluate, or else of these
images.

With --bundle instead of --workdir, a file of rdvar export scores them, without a run's folder and
without the packages of training: a bundle, or an ONNX model in ONNX Runtime or OpenVINO.

With --watch, images are scored as they are dropped into one folder, until Ctrl-C or SIGTERM, rows
are appended, and there is no index.html. The exit code is 1 if --fail_on_defect found a defective
image.
"""

EXAMPLES = """\
rdvar predict --workdir W PHOTOS
rdvar predict --bundle part.rdvar PHOTOS
rdvar predict --workdir W a.png b.png 'parts/**/*.png' --output O --fail_on_defect
rdvar predict --workdir W PHOTOS --output O --threshold 0.4 --save_masks --noheat_maps
rdvar predict --watch --workdir W --input FOLDER --output O --interval 2
"""


def add_arguments(parser: Parser) -> None:
    """Adds the command's flags."""
    add_run(parser, "score.batch_size", "parallel.num_devices", required=False)
    parser.add_path(
        "--bundle",
        metavar="FILE",
        help="a bundle or an ONNX model of rdvar export, instead of --workdir (default: none)",
    )
    parser.add_path(
        "--input",
        action="extend",
        nargs="+",
        metavar="PATH",
        help="images, folders (searched at any depth) or quoted patterns; the flag may be left "
        "out before them (default: none)",
    )
    parser.loose_words = "input"
    parser.add_path(
        "--output",
        "directory",
        metavar="FOLDER",
        help="a new or empty folder (default: the first input's name in W/predictions; with "
        "--bundle, NAME-verdicts here; -2, -3, ... is appended where it is taken)",
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
        "--overlays",
        action=Switch,
        default=True,
        help="write images under their heat, with verdict and outlines",
    )
    parser.add_argument(
        "--page",
        action=Switch,
        default=None,
        help="write index.html and its thumbnails (default: on, unless neither heat maps nor "
        "overlays are written; never with --watch)",
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
    _check(args, settings)
    with quick_imports():
        from rdvar_jax.commands.predicting.image_writer import Outputs, Thresholds

    page = (args.heat_maps or args.overlays) if args.page is None else args.page
    common: dict[str, Any] = dict(
        thresholds=Thresholds(args.threshold, args.pixel_threshold),
        wanted=Outputs(
            args.heat_maps,
            args.overlays,
            args.save_masks,
            args.save_maps,
            maps_at_own_size=args.map_size == "original",
            page=page and not args.watch,
        ),
        need_verdicts=args.fail_on_defect,
    )
    found, output = (_watch if args.watch else _predict)(args, settings, common)
    page = common["wanted"].page
    print(summary(found, output / ("index.html" if page else "scores.csv")))
    return int(args.fail_on_defect and bool(found.num_defective))


def _predict(
    args: argparse.Namespace, settings: Sequence[Setting], common: dict[str, Any]
) -> "tuple[Counts, Path]":
    if args.bundle is None:
        config, workdir, checkpoint = load_run(args, settings)
        with quick_imports():
            from rdvar_jax.commands.predicting.run_scorer import run_scorer

        colored = common["wanted"].colored
        load = run_scorer(config, workdir, checkpoint, scale=args.color_scale, colored=colored)
        folder, ending = workdir.predictions, ""
    else:
        if args.bundle.suffix.lower() == ".onnx":
            prepare_memory()
        else:
            start_jax()
        with quick_imports():
            from rdvar_jax.commands.predicting.bundle_scorer import bundle_scorer

        load, folder, ending = bundle_scorer(args.bundle, scale=args.color_scale), Path(), VERDICTS
    with quick_imports():
        from rdvar_jax.commands.predict import NewFolder, default_name, predict

    output = args.output or NewFolder(folder, default_name(args.input) + ending)
    return predict(load, args.input, output, on_error=args.on_error, **common)


def _watch(
    args: argparse.Namespace, settings: Sequence[Setting], common: dict[str, Any]
) -> "tuple[Counts, Path]":
    config, workdir, checkpoint = load_run(args, settings)
    from rdvar_jax.commands.watch import watch

    (folder,), output = args.input, args.output
    options = dict(common, interval=args.interval, scale=args.color_scale)
    return watch(config, workdir, folder, output, checkpoint, **options), output


def summary(found: "Counts", file: Path) -> str:
    """Returns the line that says what was found, and the file to open."""
    number = found.num_images
    images = f"{number} image" if number == 1 else f"{number} images"
    if found.num_defective is None:
        words = f"{images} scored, without verdicts (no threshold)"
    else:
        defective = found.num_defective
        words = f"{images}: {defective} defective, {number - defective} good"
    if found.num_skipped:
        words += f", {found.num_skipped} skipped (could not be read)"
    return f"{words}. Open {one_line(str(file))}"


def _check(args: argparse.Namespace, settings: Sequence[Setting]) -> None:
    """Raises a ConfigError for flags that are missing or do not go together."""
    if args.bundle is not None and args.workdir is not None:
        raise ConfigError("--workdir and --bundle are both given; leave one out.")
    problems = []
    if args.bundle is None and args.workdir is None:
        problems.append(
            "--workdir is missing; give --workdir FOLDER, the run's folder, or --bundle FILE, a "
            "bundle of rdvar export."
        )
    if not args.input:
        problems.append(
            "no image is given; name images, folders or quoted patterns, as in rdvar predict "
            "--workdir W PHOTOS."
        )
    if args.watch and args.output is None:
        problems.append("--output is missing; with --watch, give --output FOLDER.")
    if args.watch and args.input and len(args.input) != 1:
        problems.append(f"--watch takes one folder, and --input names {len(args.input)} paths.")
    if args.watch and args.page:
        problems.append("--watch writes no page; leave out --page.")
    if args.bundle is not None:
        if args.watch:
            problems.append("--watch needs a run; give --workdir instead of --bundle.")
        if args.ignore is not None or args.min_area is not None:
            problems.append("a bundle has its own --ignore and --min_area; leave them out.")
        if args.checkpoint != "latest":
            problems.append(f"a bundle has one state; leave out --checkpoint {args.checkpoint}.")
        if settings:
            problems.append(
                f"a bundle takes no settings, such as --config.{settings[0].name}; leave them out."
            )
    if problems:
        raise ConfigError(*problems)


def _color_scale(text: str) -> tuple[float, float]:
    try:
        low, high = map(float, text.split(","))
        if -math.inf < low < high < math.inf:
            return low, high
    except ValueError:
        pass
    raise ConfigError(f"--color_scale {text} must be two raw map values, the lower first.")
