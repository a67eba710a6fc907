"""`rdvar serve` on the command line."""

import argparse
from collections.abc import Sequence

from rdvar_jax.cli.parser import Parser
from rdvar_jax.cli.quick_imports import quick_imports
from rdvar_jax.cli.settings import Setting
from rdvar_jax.cli.start import prepare_memory, start_jax
from rdvar_jax.errors import ConfigError, one_line

DESCRIPTION = """Answer images with verdicts over HTTP, with bundles.

Each file of rdvar export is a part, by its name without the suffix. The address itself shows a page
for the operator. POST /predict takes image files; POST /v2/models/NAME/infer tensors, by the Open
Inference Protocol; GET /metrics is for Prometheus. Images that come together are scored together.
Ctrl-C or SIGTERM closes the port, answers what was accepted, and ends with exit code 0. See
docs/how_to/serve.md.
"""

EXAMPLES = """\
rdvar serve part.rdvar
rdvar serve cap.rdvar bottle.rdvar --port 9000
rdvar serve part.rdvar --log verdicts.sqlite --watch FOLDER --feedback LABELLED
rdvar serve part.rdvar --log verdicts.sqlite --mqtt mqtt://broker/line/1
rdvar serve part.rdvar --host 0.0.0.0 --token_file tokens.txt
"""


def add_arguments(parser: Parser) -> None:
    """Adds the command's flags."""
    parser.add_path(
        "--bundle",
        action="extend",
        nargs="+",
        metavar="FILE",
        help="bundles of rdvar export; the flag may be left out before them (default: none)",
    )
    parser.loose_words = "bundle"
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on; one that other computers reach needs --token_file",
    )
    parser.add_argument(
        "--port", type=int, default=8000, metavar="NUMBER", help="port; 0 takes a free one"
    )
    parser.add_path(
        "--token_file",
        metavar="FILE",
        help="tokens of those who may use it, one a line (default: none)",
    )
    parser.add_argument(
        "--batch_size", type=int, default=8, metavar="N", help="images scored at once, at most"
    )
    parser.add_argument(
        "--queue",
        type=int,
        default=64,
        metavar="N",
        help="images of a part that wait or are scored, at most; others are answered with 503",
    )
    parser.add_argument(
        "--wait_ms",
        type=float,
        default=2.0,
        metavar="MS",
        help="time that a batch waits for the next images of clients that were just answered, at "
        "most; 0 never waits",
    )
    parser.add_argument(
        "--max_upload_mb", type=float, default=64.0, metavar="MB", help="size of a request, at most"
    )
    parser.add_path(
        "--feedback",
        "directory",
        metavar="FOLDER",
        help="keep images that are labelled on the page, for rdvar train --from_feedback "
        "(default: none)",
    )
    parser.add_argument(
        "--mqtt",
        metavar="ADDRESS",
        help="publish each verdict, such as to mqtt://host/topic (default: none)",
    )
    parser.add_argument(
        "--opcua",
        metavar="ADDRESS",
        help="show the last verdicts by OPC UA, such as at opc.tcp://127.0.0.1:4840 "
        "(default: none)",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="SCORE",
        help="an image is defective if its score is above it (default: that of each bundle)",
    )
    parser.add_path(
        "--log",
        metavar="FILE",
        help="a file of SQLite that keeps each verdict before it is answered (default: none)",
    )
    parser.add_path(
        "--watch",
        "directory",
        metavar="FOLDER",
        help="judge the images that are dropped into a folder too; with several bundles, into its "
        "folders of their names (default: none)",
    )


def run(args: argparse.Namespace, settings: Sequence[Setting]) -> int:
    """Runs the command and returns the exit code."""
    if not args.bundle:
        raise ConfigError("No bundle is given; pass a file of rdvar export.")
    if all(file.suffix.lower() == ".onnx" for file in args.bundle):
        prepare_memory()
    else:
        start_jax()
    with quick_imports():
        from rdvar_jax.commands.serve import Serving, serve

    serving = Serving(
        args.host,
        args.port,
        args.token_file,
        args.batch_size,
        args.queue,
        args.wait_ms,
        args.max_upload_mb,
        args.threshold,
        args.log,
        args.watch,
        args.feedback,
        args.mqtt,
        args.opcua,
    )
    serve(
        args.bundle,
        serving,
        opened=lambda url: print(one_line(f"listening on {url}; Ctrl-C stops"), flush=True),
    )
    return 0
