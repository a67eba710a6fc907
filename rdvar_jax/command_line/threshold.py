"""`rdvar threshold` on the command line."""

from pathlib import Path

from absl import flags

from rdvar_jax.command_line.settings import define_workdir, load_run

HELP = """
rdvar threshold --workdir W --input GOOD_IMAGES [--method fpr|quantile|gpd] [--target 0.05]
        [--confidence 0.95] [--quantile 0.99] [--checkpoint latest|best]
    Choose the score above which an image is called defective, from good images that were not
    trained on: threshold.json in W. Without --input from those that data.validation kept from
    training, else from the training images, with no promise.
"""


def run(argv: list[str]) -> int:
    """Runs the command; `argv` is its name and its arguments. Gives the exit code."""
    values = flags.FlagValues()
    define_workdir(values)
    text = "good images that were not trained on, or a folder of them"
    flags.DEFINE_multi_string("input", [], text, flag_values=values)
    flags.DEFINE_enum("method", "fpr", ["fpr", "quantile", "gpd"], "how", flag_values=values)
    flags.DEFINE_float("target", 0.05, "false-positive rate", flag_values=values)
    flags.DEFINE_float("confidence", 0.95, "that the rate is kept", flag_values=values)
    flags.DEFINE_float("quantile", 0.99, "of --method quantile", flag_values=values)
    config, workdir, which, extra = load_run(values, argv)
    from rdvar_jax.commands.threshold import Method, make_threshold

    shares = (float(values[name].value or 0) for name in ("target", "confidence", "quantile"))
    inputs = [Path(name) for name in (*(values["input"].value or ()), *extra)]
    found = make_threshold(
        config, workdir, Method(str(values["method"].value), *shares), inputs, which
    )
    print(
        f"threshold {found['threshold']:.6g}: {found['num_above']} of {found['num_images']} images "
        f"({found['split']}) are above it"
    )
    if found["fpr_bound"] is None:
        print("nothing is promised of the false-positive rate of new images")
    else:
        print(
            f"false-positive rate of new good images at most {found['fpr_bound']:.4g}, with "
            f"confidence {found['confidence']:g}"
        )
    return 0
