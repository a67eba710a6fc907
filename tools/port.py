"""Converts weights from PyTorch and back, without torch.

    python tools/port.py weights IN.pth OUT.safetensors --arch wide_resnet50_2
    python tools/port.py from_rd4ad --arch wide_resnet50_2 --checkpoint C.pth --workdir W
    python tools/port.py to_rd4ad --workdir W --output C.pth

weights      converts a teacher's torch weights to safetensors
from_rd4ad   makes a workdir from a checkpoint of RD4AD's PyTorch code
to_rd4ad     writes a run's networks as a checkpoint for RD4AD's PyTorch code

Each has its own --help.
"""

import argparse
import inspect
import sys
from pathlib import Path
from typing import Any

from exit_code import exit_code

from rdvar_jax.cli.parser import Parser
from rdvar_jax.cli.settings import apply_settings, take_settings
from rdvar_jax.cli.start import start_jax
from rdvar_jax.runs.config import default_config, resolved
from rdvar_jax.runs.workdir import Workdir, load_config
from rdvar_jax.weights.architectures import ARCHITECTURES


def weights(argv: list[str]) -> None:
    """Converts a teacher's torch weights to safetensors.

        python tools/port.py weights IN.pth OUT.safetensors --arch wide_resnet50_2

    Only the teacher's layers are written, conv1 to layer3. Use the result with
    `--config.teacher.weights=OUT`. Its metadata holds the source's name and sha256, a note on the
    licence (torchvision's for its own files, else that of `--licence`) and the converter's version.
    """
    parser = make_parser("weights", weights)
    parser.add_argument("source", type=Path, metavar="IN.pth")
    parser.add_argument("output", type=Path, metavar="OUT.safetensors")
    parser.add_argument("--arch", choices=tuple(ARCHITECTURES), required=True)
    parser.add_argument("--licence", default="", help="a note on the licence of the weights")
    args = parser.parse_args(argv)
    from rdvar_jax.commands.rd4ad import convert_teacher

    convert_teacher(args.arch, args.source, args.output, args.licence)
    print(f"wrote {args.output}")


def from_rd4ad(argv: list[str]) -> None:
    """Makes a workdir from a checkpoint of RD4AD's PyTorch code.

        python tools/port.py from_rd4ad --arch wide_resnet50_2 --teacher T.pth --checkpoint C.pth \\
            --workdir W --config.data.root=MVTEC_AD --config.data.category=carpet
        rdvar evaluate --workdir W

    Without --teacher it uses torchvision's weights, cached or downloaded. Other settings can be set
    too, such as --config.data.image_size. Root and category may also be left to `rdvar evaluate`.
    """
    parser = Parser(prog="port.py from_rd4ad", description=inspect.getdoc(from_rd4ad))
    parser.add_argument("--arch", required=True, metavar="NAME", help="the backbone")
    parser.add_path(
        "--teacher", metavar="T.pth", help="the teacher's weights (default: torchvision's)"
    )
    parser.add_path("--checkpoint", required=True, metavar="C.pth", help="RD4AD's checkpoint")
    parser.add_path("--workdir", required=True, metavar="FOLDER", help="a new or empty folder")
    settings, words = take_settings(argv)
    args = parser.read(words)
    config = default_config()
    config.loss.lambda_var = 0.0  # RD4AD's code has no variance loss
    apply_settings(config, settings)
    config.teacher.arch = args.arch
    if args.teacher is not None:
        config.teacher.weights = str(args.teacher)
    start_jax()
    from rdvar_jax.commands.rd4ad import import_rd4ad

    workdir = import_rd4ad(resolved(config), args.checkpoint, args.workdir)
    later = "" if config.data.root else " --config.data.root=FOLDER --config.data.category=NAME"
    print(f"imported; next: rdvar evaluate --workdir {workdir.folder}{later}")


def to_rd4ad(argv: list[str]) -> None:
    """Writes a run's networks as a checkpoint for RD4AD's PyTorch code.

        python tools/port.py to_rd4ad --workdir W --output C.pth

    `torch.load(C.pth, weights_only=True)` returns {"bn": ..., "decoder": ...}, and both load with
    strict names. The convolution conv4, which RD4AD never runs, is all zeros and its bn4 is as
    initialised (1, 0, mean 0, variance 1); num_batches_tracked of the others is the run's step.
    """
    parser = make_parser("to_rd4ad", to_rd4ad)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, metavar="C.pth")
    parser.add_argument("--checkpoint", choices=("latest", "best"), default="latest")
    args = parser.parse_args(argv)
    start_jax()
    from rdvar_jax.commands.rd4ad import export_rd4ad

    workdir = Workdir(args.workdir.resolve())
    export_rd4ad(load_config(workdir), workdir, args.output, args.checkpoint)
    print(f"wrote {args.output}")


COMMANDS = {"weights": weights, "from_rd4ad": from_rd4ad, "to_rd4ad": to_rd4ad}


def make_parser(name: str, command: Any) -> argparse.ArgumentParser:
    """Makes a parser whose help is the command's docstring."""
    return argparse.ArgumentParser(
        prog=f"port.py {name}",
        description=inspect.getdoc(command),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def main(argv: list[str]) -> int:
    """Runs a command and returns the exit code."""
    if not argv or argv[0] in ("--help", "-h"):
        print(__doc__)
        return 0
    name, *rest = argv
    if name not in COMMANDS:
        print(f"port: unknown command {name}; give one of {', '.join(COMMANDS)}.", file=sys.stderr)
        return 2
    return exit_code(f"port {name}", COMMANDS[name], rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
