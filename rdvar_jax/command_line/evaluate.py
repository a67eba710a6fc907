"""`rdvar evaluate` on the command line."""

from absl import flags

from rdvar_jax.command_line.settings import define_workdir, load_run, refuse_extra

HELP = """
rdvar evaluate --workdir W [--checkpoint latest|best] [--config.SECTION.NAME=VALUE ...]
    Score the test images: results.json, scores.csv and figures/ in W. Settings of the sections
    score, report and parallel, and data.root, may differ from those in training.
"""


def run(argv: list[str]) -> int:
    """Runs the command; `argv` is its name and its arguments. Gives the exit code."""
    values = flags.FlagValues()
    define_workdir(values)
    config, workdir, which, extra = load_run(values, argv)
    refuse_extra(extra)
    from rdvar_jax.commands.evaluate import evaluate

    results = evaluate(config, workdir, which)
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
