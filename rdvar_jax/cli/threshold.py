"""`rdvar threshold` on the command line."""

import argparse
from collections.abc import Sequence

from rdvar_jax.cli.parser import Parser
from rdvar_jax.cli.settings import Setting, add_ignore, add_run, load_run
from rdvar_jax.errors import one_line

DESCRIPTION = """Choose the score above which an image is defective.

It is chosen from good images that were not trained on, and saved as threshold.json in the run's
folder. Without --input these are the images held out by data.validation, or else the training
images, without a bound. Images of --input that were trained on are found and do not count.
"""

EXAMPLES = """\
rdvar threshold --workdir W --input GOOD_IMAGES
rdvar threshold --workdir W --input GOOD_IMAGES --target 0.01 --confidence 0.9
rdvar threshold --workdir W --input GOOD_IMAGES --exclude 017.png 'shift2/*'
rdvar threshold --workdir W --method quantile --quantile 0.995
"""


def add_arguments(parser: Parser) -> None:
    """Adds the command's flags."""
    add_run(parser, "data.root", "score.batch_size", "parallel.num_devices")
    parser.add_path(
        "--input",
        action="extend",
        nargs="+",
        default=[],
        metavar="PATH",
        help="good images or folders; may be repeated (default: those held out by data.validation)",
    )
    parser.loose_words = "input"
    parser.add_argument(
        "--exclude",
        action="extend",
        nargs="+",
        default=[],
        metavar="NAME",
        help="good images to leave out, by name or pattern; may be repeated (default: none)",
    )
    add_ignore(parser)
    parser.add_argument(
        "--method",
        choices=("fpr", "quantile", "gpd"),
        default="fpr",
        help="a false-positive rate with a bound, a quantile, or a fitted Pareto tail",
    )
    parser.add_argument(
        "--target", type=float, default=0.05, metavar="RATE", help="false-positive rate"
    )
    parser.add_argument(
        "--confidence", type=float, default=0.95, metavar="SHARE", help="that the rate holds"
    )
    parser.add_argument(
        "--quantile", type=float, default=0.99, metavar="SHARE", help="of --method quantile"
    )


def run(args: argparse.Namespace, settings: Sequence[Setting]) -> int:
    """Runs the command and returns the exit code."""
    config, workdir, checkpoint = load_run(args, settings)
    from rdvar_jax.commands.threshold import Method, make_threshold

    method = Method(args.method, args.target, args.confidence, args.quantile)
    found = make_threshold(config, workdir, method, args.input, checkpoint, args.exclude)
    if found["excluded"]:
        print(f"excluded {len(found['excluded'])}: {', '.join(map(one_line, found['excluded']))}")
    print(
        f"threshold {found['threshold']:.6g}: {found['num_above']} of {found['num_images']} images "
        f"({found['split']}) are above it"
    )
    if found["fpr_bound"] is None:
        print("no bound on the false-positive rate of new good images")
    else:
        print(
            f"false-positive rate of new good images at most {found['fpr_bound']:.4g}, with "
            f"confidence {found['confidence']:g}"
        )
    return 0
