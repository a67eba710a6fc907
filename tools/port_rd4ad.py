"""Makes a workdir out of a checkpoint of RD4AD's PyTorch code, without torch.

    python tools/port_rd4ad.py --arch wide_resnet50_2 --teacher T.pth --checkpoint C.pth \\
        --workdir W --config.data.root=MVTEC_AD --config.data.category=carpet
    rdvar evaluate --workdir W

Without --teacher torchvision's weights are taken, from the cache or downloaded. Other settings of
rdvar_jax/runs/config.py may be given too, such as --config.data.image_size. Root and category may
also be left for `rdvar evaluate`.
"""

import sys
from pathlib import Path
from typing import Any

from absl import flags
from exit_code import exit_code

from rdvar_jax.command_line.settings import define_settings, parse_flags
from rdvar_jax.command_line.start import start_jax
from rdvar_jax.errors import ConfigError
from rdvar_jax.runs.config import default_config, resolved

NAMES = {
    "arch": "the backbone",
    "teacher": "the teacher's weights",
    "checkpoint": "RD4AD's checkpoint",
    "workdir": "the folder to make",
}


def port(argv: list[str]) -> None:
    """The command; `argv` begins after the program's name."""
    if not argv or "--help" in argv or "-h" in argv:
        print(__doc__)
        return
    defaults = default_config()
    defaults.loss.lambda_var = 0.0  # RD4AD's code has no variance loss
    values = flags.FlagValues()
    for name, meaning in NAMES.items():
        flags.DEFINE_string(name, None, meaning, flag_values=values)
    define_settings(values, defaults, argv)
    parse_flags(values, ["port_rd4ad", *argv])
    arch, teacher, checkpoint, folder = (str(values[name].value or "") for name in NAMES)
    required = {"arch": arch, "checkpoint": checkpoint, "workdir": folder}
    missing = [f"--{name}" for name, value in required.items() if not value]
    if missing:
        raise ConfigError(f"{' and '.join(missing)} must be given; see port_rd4ad.py --help.")
    config: Any = values["config"].value
    config.teacher.arch = arch
    config.teacher.weights = teacher or config.teacher.weights
    start_jax()
    from rdvar_jax.commands.rd4ad import import_rd4ad

    workdir = import_rd4ad(resolved(config), Path(checkpoint), Path(folder))
    later = "" if config.data.root else " --config.data.root=FOLDER --config.data.category=NAME"
    print(f"imported; next: rdvar evaluate --workdir {workdir.folder}{later}")


if __name__ == "__main__":
    sys.exit(exit_code("port_rd4ad", port, sys.argv[1:]))
