"""`rdvar train` on the command line."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rdvar_jax.cli.ending import report_error
from rdvar_jax.cli.outcome import describe_found, describe_targets, describe_threshold
from rdvar_jax.cli.parser import Parser
from rdvar_jax.cli.quick_imports import quick_imports
from rdvar_jax.cli.settings import (
    Setting,
    add_config,
    add_ignore,
    add_min_area,
    add_workdir,
    apply_settings,
    read_config,
    with_short_flags,
)
from rdvar_jax.cli.start import start_jax
from rdvar_jax.errors import ConfigError, one_line

DESCRIPTION = """Train on good images: on a folder of photographs, or by a preset.

With photographs, network, size and epochs are chosen for this machine and --minutes, and the plan
is printed before it begins. Afterwards the run has a threshold, figures and a report. With --config
nothing is chosen: preset and settings say all, and only the training is done.

The same command resumes a stopped run. Several machines train one run with the settings of the
section distributed: docs/multihost.md.
"""

EXAMPLES = """\
rdvar train GOOD_PHOTOS --workdir W
rdvar train GOOD_PHOTOS --bad KNOWN_DEFECTS --workdir W --minutes 60
rdvar train GOOD_PHOTOS --from_feedback FEEDBACK/part --workdir W2
rdvar train --config wrn50:screw --config.data.root=MVTEC_AD --workdir W
rdvar train --config demo:nut --config.data.root=parts --config.train.epochs=20 \\
    --workdir W
"""


def add_arguments(parser: Parser) -> None:
    """Adds the command's flags."""
    parser.add_path(
        "--good",
        action="extend",
        nargs="+",
        default=[],
        metavar="PATH",
        help="photographs of good parts: folders (searched at any depth), files or quoted "
        "patterns; --good itself may be left out (default: none)",
    )
    parser.loose_words = "good"
    parser.add_path(
        "--bad",
        action="extend",
        nargs="+",
        default=[],
        metavar="PATH",
        help="known defects, only to test with; folders are kinds of defects (default: none)",
    )
    parser.add_path(
        "--from_feedback",
        action="extend",
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="images that were labelled on the page of rdvar serve, such as FEEDBACK/PART: good "
        "ones to train on, defective ones as with --bad (default: none)",
    )
    add_config(
        parser,
        "data.root",
        "data.image_size",
        "data.validation",
        "teacher.arch",
        "teacher.weights",
        "loss.lambda_var",
        "loss.stages",
        "train.epochs",
        "train.batch_size",
        "train.folds",
        "train.seed",
        "parallel.num_devices",
        required=False,
    )
    add_workdir(parser)
    add_ignore(parser)
    add_min_area(parser)
    parser.add_argument(
        "--minutes",
        type=float,
        default=15.0,
        metavar="MINUTES",
        help="with photographs: how long all of it may take",
    )
    parser.add_argument(
        "--target",
        type=float,
        default=0.05,
        metavar="RATE",
        help="with photographs: false-positive rate of the threshold",
    )
    parser.add_argument(
        "--confidence",
        type=float,
        metavar="SHARE",
        help="with photographs: that the rate holds (default: on average alone)",
    )
    parser.add_argument(
        "--cost_missed",
        type=float,
        metavar="COST",
        help="with --bad: cost of a missed defect in false alarms, for a threshold chosen with "
        "these labels (default: none)",
    )


def run(args: argparse.Namespace, settings: Sequence[Setting]) -> int:
    """Runs the command and returns the exit code."""
    started = time.perf_counter()
    settings = with_short_flags(args, settings)
    if args.from_feedback:
        from rdvar_jax.commands.planning.photographs import with_feedback

        args.good, args.bad = with_feedback(args.good, args.bad, args.from_feedback)
    if args.config is not None:
        if args.good or args.bad:
            raise ConfigError(
                "--config and photographs are both given; give photographs, whose settings are "
                "chosen, or a preset with data.root."
            )
        return _train_preset(args, settings)
    if not args.good:
        raise ConfigError(
            "nothing to train on; give folders of good photographs, as in rdvar train PHOTOS "
            "--workdir W, or --config PRESET:CATEGORY; see rdvar train --help."
        )
    return _train_photographs(args, settings, started)


def _train_preset(args: argparse.Namespace, settings: Sequence[Setting]) -> int:
    config = read_config(args.config, settings)
    start_jax()
    from rdvar_jax.runs.config import resolved

    return _train(
        resolved(config), args.workdir, f"trained; next: rdvar evaluate --workdir {args.workdir}"
    )


def _train_photographs(
    args: argparse.Namespace, settings: Sequence[Setting], started: float
) -> int:
    from rdvar_jax.commands.threshold import Method
    from rdvar_jax.runs.workdir import Workdir

    method = Method.of_flags(None, args.target, args.confidence, 0.99, args.cost_missed)
    method.check()
    if not 0 < args.minutes < 1e6:
        raise ConfigError(f"--minutes {args.minutes:g} must be over 0 and under 1000000.")
    workdir = Workdir(args.workdir.resolve())
    start_jax()
    config, planned = _planned(args, settings, workdir, started)
    code = _train(config, args.workdir)
    if code != 0:
        return code
    from rdvar_jax.commands.evaluate import evaluate
    from rdvar_jax.commands.report import write_report
    from rdvar_jax.commands.threshold import make_threshold
    from rdvar_jax.runs.workdir import load_config

    config = load_config(workdir)  # of a training that has ended early, fewer epochs
    threshold = make_threshold(config, workdir, method)
    results = evaluate(config, workdir)
    page = write_report(workdir)
    minutes, auroc = (time.perf_counter() - started) / 60, results["metrics"]["image_auroc"]
    took = f"{minutes:.1f} minutes" + (f", planned {planned:.1f}" if planned else "")
    lines = [
        "",
        f"done in {took}",
        *describe_threshold(threshold),
        *describe_found(results["thresholds"]["stored"]),
        *describe_targets(results["targets"]),
        *([] if auroc is None else [f"image AUROC {auroc:.4f}"]),
        f"look at: {page}",
        f"next: rdvar predict --workdir {args.workdir} NEW_PHOTOS",
        f"      rdvar export --workdir {args.workdir} --output part.rdvar",
    ]
    print("\n".join(map(one_line, lines)))
    return 0


def _planned(
    args: argparse.Namespace, settings: Sequence[Setting], workdir: Any, started: float
) -> tuple[Any, float | None]:
    """Returns the settings, kept or planned, and the minutes of a new plan."""
    from rdvar_jax.commands.planning.photographs import look_at, permitted, with_photographs
    from rdvar_jax.commands.planning.plan import make_plan
    from rdvar_jax.runs.config import default_config
    from rdvar_jax.runs.workdir import load_config

    is_new = not workdir.config.exists()
    config = default_config() if is_new else load_config(workdir)
    if is_new:
        config.data.update(full_scale="auto", allow_mixed_sizes=True, on_error="skip")
    else:
        config.data.update(root="", good=(), bad=())
    apply_settings(config, settings)
    config = with_photographs(config, args.good, args.bad)
    if not is_new:
        print(one_line(f"goes on with the plan in {workdir.config}"))
        return config, None
    photographs, lines = look_at(config)
    lines.append(permitted(photographs.number, args.target))
    print("\n".join(map(one_line, lines)), flush=True)
    given = {setting.name for setting in settings}
    plan = make_plan(config, photographs, args.minutes, given, started)
    print("\n".join(map(one_line, plan.lines())), flush=True)
    return plan.config, plan.minutes


def _train(config: Any, workdir: Path, last_words: str = "") -> int:
    with quick_imports():
        from rdvar_jax.commands.train import train
        from rdvar_jax.devices.processes import is_main_process, membership
        from rdvar_jax.training.stop import Stopped

    with membership(report_error, **config.distributed):
        try:
            train(config, workdir)
        except Stopped as stopped:
            print(f"rdvar: {stopped}", file=sys.stderr)
            return 128 + stopped.signal_number
        if last_words and is_main_process():
            print(one_line(last_words))
    return 0
