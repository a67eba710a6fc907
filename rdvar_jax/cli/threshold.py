"""`rdvar threshold` on the command line."""

import argparse
from collections.abc import Sequence

from rdvar_jax.cli.parser import Parser
from rdvar_jax.cli.settings import Setting, add_ignore, add_run, load_run
from rdvar_jax.cli.threshold_words import describe_threshold
from rdvar_jax.errors import one_line

METHODS = ("mean", "fpr", "quantile", "gpd", "cost")

DESCRIPTION = """Choose the score above which an image is defective.

It is chosen from good images that were not trained on, and saved as threshold.json in the run's
folder. Without --input these are the images held out by data.validation; or the training images, by
the scores of train.folds; or else their own scores, without a bound. Images of --input that were
trained on are found and do not count.

By default at most --target of new good images are above the threshold on average. --confidence asks
for a bound that holds so often, which needs more images. --cost_missed weighs known defects against
false alarms, so the threshold is chosen with labels.
"""

EXAMPLES = """\
rdvar threshold --workdir W --input GOOD_IMAGES
rdvar threshold --workdir W --input GOOD_IMAGES --target 0.01 --confidence 0.9
rdvar threshold --workdir W --bad DEFECTS --cost_missed 10
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
        choices=METHODS,
        help="a false-positive rate on average (mean) or with a bound (fpr), a quantile, a fitted "
        "Pareto tail, or the lowest cost (default: mean, fpr with --confidence, cost with "
        "--cost_missed)",
    )
    parser.add_argument(
        "--target", type=float, default=0.05, metavar="RATE", help="false-positive rate"
    )
    parser.add_argument(
        "--confidence",
        type=float,
        metavar="SHARE",
        help="that the rate holds, such as 0.95 (default: on average alone)",
    )
    parser.add_argument(
        "--cost_missed",
        type=float,
        metavar="COST",
        help="of a missed defect, in false alarms (default: none)",
    )
    parser.add_path(
        "--bad",
        action="extend",
        nargs="+",
        default=[],
        metavar="PATH",
        help="defective images for --cost_missed (default: those of the run)",
    )
    parser.add_argument(
        "--quantile", type=float, default=0.99, metavar="SHARE", help="of --method quantile"
    )


def run(args: argparse.Namespace, settings: Sequence[Setting]) -> int:
    """Runs the command and returns the exit code."""
    config, workdir, checkpoint = load_run(args, settings)
    from rdvar_jax.commands.threshold import Method, make_threshold

    flags = (args.method, args.target, args.confidence, args.quantile, args.cost_missed)
    method = Method.of_flags(*flags)
    inputs = (args.input, checkpoint, args.exclude, args.bad)
    found = make_threshold(config, workdir, method, *inputs)
    if found["excluded"]:
        print(f"excluded {len(found['excluded'])}: {', '.join(map(one_line, found['excluded']))}")
    print("\n".join(describe_threshold(found)))
    return 0
