"""Demo without any data: draws parts, trains a detector for each kind, evaluates, shows heat maps.

    python tools/demo.py --output demo      # `make demo` calls this

Nothing is downloaded. The commands that it prints also work by hand. Starting it again resumes a
stopped demo.
"""

import argparse
import json
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

from rdvar_jax.cli.main import main as rdvar
from rdvar_jax.report.page.templates import render
from rdvar_jax.synthetic import CATEGORIES
from rdvar_jax.weights.demonstration import DRAWN_SHA256, demonstration_remark

CONFIG = "demo"
COLUMNS = {"image_auroc": "image AUROC", "pixel_auroc": "pixel AUROC", "aupro": "AUPRO"}


def main() -> int:
    """Runs the demo and returns the exit code of the command that failed, or 0."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("demo"), help="the folder to write")
    parser.add_argument(
        "--categories", nargs="+", choices=CATEGORIES, default=CATEGORIES, metavar="NAME"
    )
    args = parser.parse_args()
    output = args.output
    started = time.monotonic()

    parts, runs = output / "parts", {name: output / "runs" / name for name in args.categories}
    commands = [["prepare", "--source", "synthetic", "--output", f"{parts}"]]
    for name, workdir in runs.items():
        settings = ["--config", f"{CONFIG}:{name}", f"--config.data.root={parts}"]
        commands += [
            ["train", *settings, "--workdir", f"{workdir}"],
            ["evaluate", "--workdir", f"{workdir}"],
        ]
    for command in commands:
        print(f"\n$ rdvar {' '.join(command)}", flush=True)
        code = rdvar(command)
        if code != 0:
            return code

    results = {
        name: json.loads((workdir / "results.json").read_text()) for name, workdir in runs.items()
    }
    page = output / "index.html"
    page.write_text(make_page(results), encoding="utf-8")
    print(last_screen(results, page, (time.monotonic() - started) / 60))
    return 0


def table(results: dict[str, dict[str, Any]]) -> list[list[str]]:
    """Returns a header, a row for each category, and the means."""
    values = [[r["metrics"][column] for column in COLUMNS] for r in results.values()]
    means = [sum(column) / len(column) for column in zip(*values, strict=True)]
    rows = zip([*results, "mean"], [*values, means], strict=True)
    return [
        ["category", *COLUMNS.values()],
        *([name, *(f"{value:.3f}" for value in row)] for name, row in rows),
    ]


def last_screen(results: dict[str, dict[str, Any]], page: Path, minutes: float) -> str:
    """Returns the closing text: results, paths of the pictures, and next steps."""
    rows = ["  ".join(f"{cell:>12s}" for cell in row) for row in table(results)]
    first = next(iter(results))
    figures = page.parent / "runs" / first / "figures"
    return "\n".join(
        [
            "",
            f"Done in {minutes:.1f} minutes: {len(results)} detectors, each trained on good parts "
            "of one kind.",
            "",
            *rows,
            "",
            f"Heat maps:  {page} (open it in a browser)",
            f"            {figures}/ and so on: one picture for each test image",
            f"Scores:     {page.parent / 'runs' / first / 'scores.csv'}",
            "",
            "Your own parts: put good images into FOLDER/NAME/train/good and images to test into",
            "FOLDER/NAME/test/good and FOLDER/NAME/test/DEFECT (masks: README.md), then",
            "",
            "  rdvar train --config resnet18:NAME --config.data.root=FOLDER --workdir W",
            "  rdvar evaluate --workdir W",
            "",
            *textwrap.wrap(remark(), 90),
        ]
    )


def make_page(results: dict[str, dict[str, Any]]) -> str:
    """Writes an HTML page beside the folder `runs`: the table, and typical and worst images."""
    header, *rows = table(results)
    template = Path(__file__).with_name("demo.html")
    return render(template, header=header, rows=rows, names=results, remark=remark())


def remark() -> str:
    """Returns the sentence on the demo's teacher, and what to take for photographs."""
    text = demonstration_remark(DRAWN_SHA256)
    assert text is not None
    return (
        f"{text[0].upper()}{text[1:]}. For photographs take the presets resnet18 or wrn50, with "
        "torchvision's ImageNet teachers; rdvar weights lists their files."
    )


if __name__ == "__main__":
    sys.exit(main())
