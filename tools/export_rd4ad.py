"""Writes a run's networks as a checkpoint for RD4AD's PyTorch code, without torch.

    python tools/export_rd4ad.py --workdir W --output C.pth

`torch.load(C.pth, weights_only=True)` gives {"bn": ..., "decoder": ...}, and both load with strict
names. The convolution conv4 that RD4AD never runs is all zeros and its bn4 as it begins (1, 0, mean
0, variance 1); each other batch normalisation has counted the run's steps.
"""

import argparse
import sys
from pathlib import Path

from exit_code import exit_code

from rdvar_jax.cli.start import start_jax
from rdvar_jax.runs.workdir import Workdir, load_config


def export(argv: list[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, metavar="C.pth")
    parser.add_argument("--checkpoint", choices=("latest", "best"), default="latest")
    args = parser.parse_args(argv)
    start_jax()
    from rdvar_jax.commands.rd4ad import export_rd4ad

    workdir = Workdir(args.workdir.resolve())
    export_rd4ad(load_config(workdir), workdir, args.output, args.checkpoint)
    print(f"wrote {args.output}")


if __name__ == "__main__":
    sys.exit(exit_code("export_rd4ad", export, sys.argv[1:]))
