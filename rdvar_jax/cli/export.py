"""`rdvar export` on the command line."""

import argparse
from collections.abc import Sequence

from rdvar_jax.cli.parser import Parser
from rdvar_jax.cli.settings import Setting, add_run, load_run
from rdvar_jax.errors import one_line

DESCRIPTION = """Write a run as one self-contained file that scores images.

A bundle is for rdvar_jax.Detector, on CPU or GPU; an ONNX model is for other runtimes. See
docs/serving.md.
"""

EXAMPLES = """\
rdvar export --workdir W --output part.rdvar
rdvar export --workdir W --output part.onnx --format onnx
rdvar export --workdir W --output part.onnx --format onnx --precision int8
"""


def add_arguments(parser: Parser) -> None:
    """Adds the command's flags."""
    add_run(parser, "score.batch_size")
    parser.add_path("--output", required=True, metavar="FILE", help="the file to write")
    parser.add_argument(
        "--format",
        choices=("stablehlo", "onnx"),
        default="stablehlo",
        help="a bundle for rdvar_jax.Detector, or an ONNX model",
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "int8"),
        default="float32",
        help="of an ONNX model: int8 takes half to two thirds of the time on CPUs with VNNI; the "
        "export needs minutes and the run's good images, and refuses if answers change too much",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="SCORE",
        help="an image is defective if its score is above it (default: that of rdvar threshold)",
    )


def run(args: argparse.Namespace, settings: Sequence[Setting]) -> int:
    """Runs the command and returns the exit code."""
    config, workdir, checkpoint = load_run(args, settings)
    from rdvar_jax.commands.export import export

    options = args.format, args.threshold, args.precision
    sha256 = export(config, workdir, args.output, checkpoint, *options)
    size = f"{args.output.stat().st_size / 1e6:.1f} MB"
    print(one_line(f"exported {args.output}, {size}, sha256 {sha256}"))
    return 0
