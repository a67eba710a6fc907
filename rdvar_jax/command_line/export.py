"""`rdvar export` on the command line."""

from pathlib import Path

from absl import flags

from rdvar_jax.command_line.settings import define_workdir, load_run, refuse_extra
from rdvar_jax.errors import ConfigError

HELP = """
rdvar export --workdir W --output part.rdvar [--threshold X] [--checkpoint latest|best]
rdvar export --workdir W --output part.onnx --format onnx
    Write the trained run as one file that scores images on its own, with the threshold of rdvar
    threshold or the one given: a bundle for rdvar_jax.Detector, on CPU or GPU, or an ONNX model for
    other runtimes. docs/serving.md.
"""


def run(argv: list[str]) -> int:
    """Runs the command; `argv` is its name and its arguments. Gives the exit code."""
    values = flags.FlagValues()
    define_workdir(values)
    flags.DEFINE_string("output", None, "the file to write", flag_values=values)
    flags.DEFINE_enum(
        "format", "stablehlo", ["stablehlo", "onnx"], "kind of file", flag_values=values
    )
    flags.DEFINE_float("threshold", None, "instead of the stored one", flag_values=values)
    config, workdir, which, extra = load_run(values, argv)
    refuse_extra(extra)
    if not values["output"].value:
        raise ConfigError("give --output with the file to write.")
    from rdvar_jax.commands.export import export

    output = Path(str(values["output"].value))
    threshold = values["threshold"].value
    sha256 = export(
        config,
        workdir,
        output,
        which,
        str(values["format"].value),
        None if threshold is None else float(threshold),
    )
    print(f"exported {output}, {output.stat().st_size / 1e6:.1f} MB, sha256 {sha256}")
    return 0
