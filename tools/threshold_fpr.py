"""Checks the bound of `rdvar threshold` on real images: false alarms among held-out good parts.

    python tools/threshold_fpr.py --data MVTEC_AD --weights resnet18.pth --output FPR.json

For each set and seed a run is trained with some good images held out (`data.validation`), the
threshold is chosen from these, and checked on the good test images, which neither has seen. A
second threshold is chosen from every other good test image and checked on the rest. Only the target
differs between the sets, because their few images must be able to show it.
"""

import argparse
import json
import math
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from collect_results import git_commit, machine
from scipy import stats

from rdvar_jax.cli.main import main as rdvar


@dataclass(frozen=True)
class Case:
    """A set, the fraction of its training images that is held out, and the target rate."""

    category: str
    validation: float
    target: float
    # For half of the good test images, whose number limits what can be shown.
    target_of_half: float
    epochs: int
    confidence: float = 0.95


CASES = (
    Case("leather_tiles", 0.3, 0.15, 0.2, epochs=12),
    Case("screw", 0.2, 0.05, 0.15, epochs=4),
)


def main() -> None:
    """Runs all cases, prints them as a table and writes them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of both sets")
    parser.add_argument("--weights", type=Path, required=True, help="of ResNet-18")
    parser.add_argument("--image_size", type=int, default=96)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--output", type=Path, required=True, help="the JSON file")
    args = parser.parse_args()
    document: dict[str, Any] = {
        "commit": git_commit(),
        "machine": machine(),
        "arch": "resnet18",
        "image_size": args.image_size,
        "rows": [],
    }
    for seed in args.seeds:
        for case in CASES:
            with tempfile.TemporaryDirectory() as folder:
                document["rows"] += measure(case, seed, args, Path(folder))
            args.output.write_text(json.dumps(document, indent=1) + "\n")
            print(table(document["rows"]), flush=True)


def measure(case: Case, seed: int, args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Returns one row for each way to choose the threshold."""
    workdir, test = folder / "run", args.data / case.category / "test"
    good, defective = test / "good", folder / "defective"
    shutil.copytree(test, defective, ignore=shutil.ignore_patterns("good"))
    call(
        "train",
        *("--config", f"resnet18:{case.category}"),
        f"--config.data.root={args.data}",
        f"--config.data.image_size={args.image_size}",
        f"--config.data.validation={case.validation}",
        f"--config.teacher.weights={args.weights}",
        f"--config.train.epochs={case.epochs}",
        f"--config.train.seed={seed}",
        *("--workdir", workdir),
    )
    halves = folder / "chosen", folder / "checked"
    for number, image in enumerate(sorted(good.iterdir())):
        target = halves[number % 2] / image.name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(image, target)
    ways = (
        ("validation", case.target, [], good),
        ("half of test/good", case.target_of_half, ["--input", halves[0]], halves[1]),
    )
    rows = []
    for source, target, inputs, checked in ways:
        promise = (f"--target={target}", f"--confidence={case.confidence}")
        call("threshold", "--workdir", workdir, *inputs, *promise)
        stored = json.loads((workdir / "threshold.json").read_text())
        false, number = count_defective(workdir, checked, folder / "checked out")
        found, num_defective = count_defective(workdir, defective, folder / "defective out")
        interval = stats.binomtest(false, number).proportion_ci(0.9, "exact")
        rows.append(
            {
                "seed": seed,
                "source": source,
                **asdict(case),
                "target": target,
                "threshold": stored["threshold"],
                "num_chosen_from": stored["num_images"],
                "fpr_bound": stored["fpr_bound"],
                "num_false": false,
                "num_checked": number,
                "num_found": found,
                "num_defective": num_defective,
                "fpr": false / number,
                # One-sided, each with confidence 0.95.
                "fpr_at_least": float(interval.low),
                "fpr_at_most": float(interval.high),
            }
        )
    return rows


def count_defective(workdir: Path, images: Path, output: Path) -> tuple[int, int]:
    """Returns how many images of a folder `rdvar predict` finds defective, and of how many."""
    call(
        *("predict", "--workdir", workdir, "--input", images),
        *("--output", output, "--noheat_maps", "--nooverlays"),
    )
    lines = (output / "scores.jsonl").read_text().splitlines()
    shutil.rmtree(output)
    return sum(json.loads(line)["verdict"] == "defective" for line in lines), len(lines)


def call(*words: object) -> None:
    """Runs `rdvar`; exits with its code if it fails."""
    code = rdvar([str(word) for word in words])
    if code != 0:
        sys.exit(code)


def table(rows: list[dict[str, Any]]) -> str:
    """Formats the rows as Markdown."""
    lines = [
        "| Set | Seed | Threshold from | Target | False alarms | Rate | At least | At most "
        "| Found |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        at_least = math.floor(1000 * row["fpr_at_least"]) / 1000
        lines.append(
            f"| {row['category']} | {row['seed']} | {row['num_chosen_from']}, {row['source']} "
            f"| {row['target']:g} | {row['num_false']} of {row['num_checked']} "
            f"| {row['fpr']:.3f} | {at_least:.3f} | {row['fpr_at_most']:.3f} "
            f"| {row['num_found']} of {row['num_defective']} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
