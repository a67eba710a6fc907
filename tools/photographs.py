"""Tries the two commands of README on real sets, as a user would: minutes, false alarms, recall.

    python tools/photographs.py --data SET... --minutes 5 --output photographs.json

Each SET is a folder of MVTec AD's layout. Some of its good training images are copied into a new
folder, under awkward names, for `rdvar train PHOTOS`; its test images are scored by `rdvar predict`
and compared with their folders' names. Both are called as processes of the `rdvar` on PATH, so an
installed wheel can be tried; ImageNet weights must be at hand (`rdvar weights`).
"""

import argparse
import csv
import json
import random
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from collect_results import git_commit, machine

from rdvar_jax import auroc

NUMBER = 100  # of good photographs, where a set has as many


def main() -> None:
    """Tries all sets, prints a table and writes it."""
    parser = argparse.ArgumentParser(description="Tries the two commands of README on real sets.")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of sets")
    parser.add_argument("--minutes", type=float, default=5.0, help="of each training")
    parser.add_argument("--output", type=Path, required=True, help="the JSON file")
    args = parser.parse_args()
    document: dict[str, Any] = {"commit": git_commit(), "machine": machine(), "sets": {}}
    print(f"{'set':16s}{'planned':>9s}{'took':>7s}{'AUROC':>8s}{'false alarms':>16s}{'found':>14s}")
    for folder in args.data:
        with tempfile.TemporaryDirectory() as scratch:
            row = try_set(folder, Path(scratch), args.minutes)
        document["sets"][folder.name] = row
        args.output.write_text(json.dumps(document, indent=2) + "\n")
        print(
            f"{folder.name:16s}{row['planned_minutes']:9.1f}{row['minutes']:7.1f}"
            f"{row['image_auroc']:8.3f}"
            f"{'{num_false} of {num_good}'.format(**row):>16s}"
            f"{'{num_found} of {num_defective}'.format(**row):>14s}",
            flush=True,
        )


def try_set(folder: Path, scratch: Path, minutes: float) -> dict[str, Any]:
    """Trains on photographs of a set, and scores its test images."""
    photos = scratch / "my photos"
    number = copy_awkwardly(sorted((folder / "train" / "good").iterdir()), photos)
    start = time.perf_counter()
    said = call("train", photos, "--workdir", "W", "--minutes", minutes, cwd=scratch)
    took = (time.perf_counter() - start) / 60
    start = time.perf_counter()
    call("predict", "--workdir", "W", folder / "test", "--output", "O", cwd=scratch)
    seconds = time.perf_counter() - start
    with (scratch / "O" / "scores.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    scores = np.array([row["score"] for row in rows], np.float32)
    defective = np.array([not row["path"].startswith("good/") for row in rows])
    called = np.array([row["verdict"] == "defective" for row in rows])
    # What the threshold at the true rate of 5 % of these good images would find: an oracle.
    oracle = np.quantile(scores[~defective], 0.95, method="higher")
    config = json.loads((scratch / "W" / "config.json").read_text())
    threshold = json.loads((scratch / "W" / "threshold.json").read_text())
    plan = re.search(r"^plan: .*$", said, flags=re.MULTILINE)
    planned = re.search(r"planned ([\d.]+)", said)
    assert plan is not None and planned is not None
    return {
        "number": number,
        "plan": plan[0],
        "planned_minutes": float(planned[1]),
        "minutes": took,
        "predict_seconds": seconds,
        "image_size": config["data"]["image_size"],
        "arch": config["teacher"]["arch"],
        "epochs": config["train"]["epochs"],
        "mean_rate": threshold["mean_rate"],
        "rate_low": threshold["rate_low"],
        "rate_high": threshold["rate_high"],
        "image_auroc": auroc(scores, defective.astype(int)),
        "num_false": int(np.sum(called & ~defective)),
        "num_good": int(np.sum(~defective)),
        "num_found": int(np.sum(called & defective)),
        "num_found_by_oracle": int(np.sum(scores[defective] > oracle)),
        "num_defective": int(np.sum(defective)),
    }


def copy_awkwardly(files: list[Path], target: Path) -> int:
    """Copies some of the files into folders, under names with blanks, signs and other letters."""
    chosen = random.Random(0).sample(files, min(NUMBER, len(files)))
    for index, file in enumerate(chosen):
        suffix = file.suffix.upper() if index % 5 == 0 else file.suffix
        path = target / f"=Schicht {index % 3} [ü]" / f"#{index} photo, new.v2{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, path)
    return len(chosen)


def call(*words: object, cwd: Path) -> str:
    """Calls `rdvar` and returns its standard output; an error ends the tool."""
    command = ["rdvar", *map(str, words)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
