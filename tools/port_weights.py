"""Converts a teacher's torch weights to safetensors, without torch.

    python tools/port_weights.py IN.pth OUT.safetensors --arch wide_resnet50_2

Only the layers that a teacher has are written, conv1 to layer3. `--config.teacher.weights=OUT`
takes the result. Its metadata holds the source's name and sha256, a note on the licence
(torchvision's for its own files, else what `--licence` says) and the converter's version.
"""

import argparse
import sys
from pathlib import Path

from exit_code import exit_code

from rdvar_jax.weights.architectures import ARCHITECTURES


def convert(argv: list[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, metavar="IN.pth")
    parser.add_argument("output", type=Path, metavar="OUT.safetensors")
    parser.add_argument("--arch", choices=tuple(ARCHITECTURES), required=True)
    parser.add_argument("--licence", default="", help="a note on the licence of the weights")
    args = parser.parse_args(argv)
    from rdvar_jax.commands.rd4ad import convert_teacher

    convert_teacher(args.arch, args.source, args.output, args.licence)
    print(f"wrote {args.output}")


if __name__ == "__main__":
    sys.exit(exit_code("port_weights", convert, sys.argv[1:]))
