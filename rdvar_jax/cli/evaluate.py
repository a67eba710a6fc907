"""`rdvar evaluate` on the command line."""

import argparse
from collections.abc import Sequence

from rdvar_jax.cli.parser import Parser
from rdvar_jax.cli.settings import Setting, add_ignore, add_run, load_run

DESCRIPTION = """Score the test images of a run's category.

Writes results.json, scores.csv and figures/ to the run's folder. data.root and settings of the
sections score, report and parallel may differ from those in training.
"""

EXAMPLES = """\
rdvar evaluate --workdir W
rdvar evaluate --workdir W --checkpoint best --config.data.root=MVTEC_AD
"""


def add_arguments(parser: Parser) -> None:
    """Adds the command's flags."""
    add_run(
        parser,
        "data.root",
        "data.on_error",
        "data.mask_threshold",
        "data.mask_orientation",
        "score.batch_size",
        "report.max_figures",
        "parallel.num_devices",
    )
    add_ignore(parser)


def run(args: argparse.Namespace, settings: Sequence[Setting]) -> int:
    """Runs the command and returns the exit code."""
    config, workdir, checkpoint = load_run(args, settings)
    from rdvar_jax.commands.evaluate import evaluate

    results = evaluate(config, workdir, checkpoint)
    for name, value in results["metrics"].items():
        print(f"{name:22s} {'undefined' if value is None else f'{value:.4f}'}")
    for name, at in results["thresholds"].items():
        if at is not None:
            print(
                f"threshold {name} {at['threshold']:.6g}: {at['num_found']} of "
                f"{at['num_defective']} defective found, {at['num_false']} of {at['num_good']} "
                "good called defective"
            )
    if results["skipped"]:
        total = results["skipped"] + results["num_images"]
        print(f"{results['skipped']} of {total} test images left out: skipped_test.csv")
    return 0
