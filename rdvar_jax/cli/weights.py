"""`rdvar weights` on the command line."""

import argparse
from collections.abc import Sequence

from rdvar_jax.cli.parser import Parser
from rdvar_jax.cli.settings import Setting
from rdvar_jax.errors import ConfigError, one_line

DESCRIPTION = """List the teachers' weights and where they are found, or put a file in place.

For machines without a network. Nothing is downloaded: rdvar train does that.
"""

EXAMPLES = """\
rdvar weights
rdvar weights --from resnet18-f37072fd.pth
rdvar weights --from model.safetensors --arch wide_resnet50_2
"""


def add_arguments(parser: Parser) -> None:
    """Adds the command's flags."""
    parser.add_path(
        "--from",
        metavar="FILE",
        help="check this .pth or safetensors file and copy it into the cache (default: list)",
    )
    parser.add_argument(
        "--arch",
        default=None,
        metavar="BACKBONE",
        help="with --from: what the file must hold (default: what it fits)",
    )


def run(args: argparse.Namespace, settings: Sequence[Setting]) -> int:
    """Runs the command and returns the exit code."""
    path = getattr(args, "from")
    if path is not None:
        from rdvar_jax.commands.weights_from import place_weights

        print(one_line(place_weights(path, args.arch)))
        return 0
    if args.arch is not None:
        raise ConfigError("--arch needs --from FILE.")
    from rdvar_jax.commands.weights import weights_list

    for line in weights_list().splitlines():
        print(one_line(line))
    return 0
