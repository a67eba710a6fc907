"""`rdvar prepare` on the command line."""

import argparse
from collections.abc import Sequence

from rdvar_jax.cli.parser import Parser
from rdvar_jax.cli.settings import Setting, read_full_scale
from rdvar_jax.errors import ConfigError, one_line

DESCRIPTION = """Make a data set: drawn parts, or TFDS sets of image folders.

--source synthetic draws four categories with defects and masks: no download, no licence.
--source tfds converts image folders to TFDS sets (mvtec_ad/NAME), read with data.source=tfds.
"""

EXAMPLES = """\
rdvar prepare --source synthetic --output parts
rdvar prepare --source tfds --manual_dir MVTEC_AD --data_dir TFDS --category screw
"""


def add_arguments(parser: Parser) -> None:
    """Adds the command's flags."""
    parser.add_argument(
        "--source",
        choices=("synthetic", "tfds"),
        required=True,
        metavar="synthetic|tfds",
        help="what to make",
    )
    drawn = "for synthetic: "
    parser.add_path(
        "--output",
        "directory",
        metavar="FOLDER",
        help=f"{drawn}the folder to write (default: none)",
    )
    parser.add_argument(
        "--size", type=int, default=256, metavar="S", help=f"{drawn}side of the images in pixels"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help=f"{drawn}seed of the images"
    )
    packed = "for tfds: "
    parser.add_path(
        "--manual_dir",
        "directory",
        metavar="FOLDER",
        help=f"{packed}the folder of categories (default: none)",
    )
    parser.add_path(
        "--data_dir",
        "directory",
        metavar="FOLDER",
        help=f"{packed}the folder of TFDS sets (default: none)",
    )
    parser.add_argument(
        "--category",
        action="append",
        default=[],
        metavar="NAME",
        help=f"{packed}a category of manual_dir; may be repeated (default: all)",
    )
    parser.add_argument(
        "--full_scale",
        type=read_full_scale,
        default="type",
        metavar="VALUE",
        help=f"{packed}as data.full_scale, since the stored images have 8 bits",
    )
    parser.add_argument(
        "--max_pixels",
        type=int,
        default=None,
        metavar="N",
        help=f"{packed}as data.max_pixels (default: its default)",
    )
    parser.add_argument(
        "--mask_orientation",
        choices=("own", "image", "upright"),
        default="own",
        help=f"{packed}turn masks by their own EXIF orientation, by their image's, or not",
    )


def run(args: argparse.Namespace, settings: Sequence[Setting]) -> int:
    """Runs the command and returns the exit code."""
    return _pack(args) if args.source == "tfds" else _draw(args)


def _draw(args: argparse.Namespace) -> int:
    if args.output is None:
        raise ConfigError("--source synthetic needs --output FOLDER.")
    from rdvar_jax.commands.prepare import draw_set

    root = args.output
    categories = draw_set(root, args.size, args.seed)
    settings = f"--config resnet18:{categories[0]} --config.data.root={root}"
    drawn = f"drew {', '.join(categories)} in {root}"
    print(one_line(f"{drawn}; next: rdvar train {settings} --workdir W"))
    return 0


def _pack(args: argparse.Namespace) -> int:
    if args.manual_dir is None or args.data_dir is None:
        raise ConfigError("--source tfds needs --manual_dir FOLDER and --data_dir TFDS_FOLDER.")
    from rdvar_jax.commands.prepare import make_tfds_sets

    limit = {} if args.max_pixels is None else {"max_pixels": args.max_pixels}
    folders = make_tfds_sets(
        args.manual_dir,
        args.data_dir,
        args.category,
        args.mask_orientation,
        full_scale=args.full_scale,
        **limit,
    )
    for line in (
        *map(str, folders),
        f"next: rdvar train ... --config.data.source=tfds --config.data.root={args.data_dir}",
    ):
        print(one_line(line))
    return 0
