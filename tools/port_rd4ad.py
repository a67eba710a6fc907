"""Makes a workdir out of a checkpoint of RD4AD's PyTorch code, without torch.

    python tools/port_rd4ad.py --arch wide_resnet50_2 --teacher T.pth --checkpoint C.pth \\
        --workdir W --config.data.root=MVTEC_AD --config.data.category=carpet
    rdvar evaluate --workdir W

Without --teacher torchvision's weights are taken, from the cache or downloaded. Other settings of
rdvar_jax/runs/config.py may be given too, such as --config.data.image_size. Root and category may
also be left for `rdvar evaluate`.
"""

import sys

from exit_code import exit_code

from rdvar_jax.cli.parser import Parser
from rdvar_jax.cli.settings import apply_settings, take_settings
from rdvar_jax.cli.start import start_jax
from rdvar_jax.runs.config import default_config, resolved


def port(argv: list[str]) -> None:
    """The command; `argv` begins after the program's name."""
    parser = Parser(prog="port_rd4ad.py", description=__doc__)
    parser.add_argument("--arch", required=True, metavar="NAME", help="the backbone")
    parser.add_path(
        "--teacher", metavar="T.pth", help="the teacher's weights (default: torchvision's)"
    )
    parser.add_path("--checkpoint", required=True, metavar="C.pth", help="RD4AD's checkpoint")
    parser.add_path("--workdir", required=True, metavar="FOLDER", help="the folder to make")
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


if __name__ == "__main__":
    sys.exit(exit_code("port_rd4ad", port, sys.argv[1:]))
