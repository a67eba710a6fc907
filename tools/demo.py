"""From nothing to heat maps: draws parts, trains a detector for each kind, evaluates, shows.

    python tools/demo.py --output demo      # `make demo` calls this

Nothing is downloaded. The commands that it prints can be given by hand just as well. A demo that
was stopped goes on when it is started again.
"""

import argparse
import html
import json
import sys
import time
from pathlib import Path
from typing import Any

from rdvar_jax.cli.main import main as rdvar
from rdvar_jax.synthetic import CATEGORIES

CONFIG = "configs/demo.py"
COLUMNS = {"image_auroc": "image AUROC", "pixel_auroc": "pixel AUROC", "aupro": "AUPRO"}


def main() -> int:
    """Runs the demo and gives the exit code of the command that failed, or 0."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("demo"), help="the folder to make")
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
    """A header, a row for each category, and the means."""
    values = [[r["metrics"][column] for column in COLUMNS] for r in results.values()]
    means = [sum(column) / len(column) for column in zip(*values, strict=True)]
    rows = zip([*results, "mean"], [*values, means], strict=True)
    return [
        ["category", *COLUMNS.values()],
        *([name, *(f"{value:.3f}" for value in row)] for name, row in rows),
    ]


def last_screen(results: dict[str, dict[str, Any]], page: Path, minutes: float) -> str:
    """What was made, how good it is, where the pictures are, and what to do next."""
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
            f"  rdvar train --config {CONFIG}:NAME --config.data.root=FOLDER --workdir W",
            "  rdvar evaluate --workdir W",
            "",
            "With a network, configs/mvtec_resnet18.py and mvtec_wrn50.py take torchvision's",
            "teachers, which find more in photographs than the small one of this demo.",
        ]
    )


def make_page(results: dict[str, dict[str, Any]]) -> str:
    """An HTML page beside the folder `runs`: the table, and typical and worst images."""
    header, *rows = table(results)
    head = "".join(f"<th>{cell}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    pictures = "".join(
        f"<h2>{html.escape(name)}</h2>"
        + "".join(
            f'<img src="runs/{name}/figures/{sheet}.png" alt="{name}: {sheet}">'
            for sheet in ("overview", "worst")
        )
        for name in results
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>rdvar_jax demo</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1000px;
  padding: 0 1rem; color: #212529; }}
.table {{ overflow-x: auto; }}
table {{ border-collapse: collapse; }}
th, td {{ text-align: right; padding: .3rem .9rem; border-bottom: 1px solid #dee2e6; }}
th:first-child, td:first-child {{ text-align: left; }}
tr:last-child td {{ font-weight: 600; }}
img {{ max-width: 100%; border: 1px solid #dee2e6; margin: .5rem 0; }}
</style></head><body>
<h1>rdvar_jax demo</h1>
<p>Drawn parts. Each detector saw good ones only. A heat map shows where a part differs from what
was learned; the outline is the true defect.</p>
<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>
{pictures}
</body></html>
"""


if __name__ == "__main__":
    sys.exit(main())
