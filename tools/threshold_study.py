"""Measures thresholds from few good images: false alarms, recall, and pooled scores.

Redraws the training images of real sets several times. Each time a student is trained as `rdvar
train GOOD` does it, in short, with its folds; the images left over are scored too: the good ones
give the true false-alarm rate of each threshold, the defective ones its recall. Also compares ways
to make an image's score from its map (`score.pooling`), paired over the redraws.

    python tools/threshold_study.py run --data MVTEC/screw --weights R18.pth --output screw.jsonl
    python tools/threshold_study.py summary *.jsonl --output study.json

Each redraw is one line of the first output, and those that are there already are not repeated.
"""

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from collect_results import git_commit, machine

from rdvar_jax import RDVarLoss, ReverseDistillation, auroc, load_category
from rdvar_jax.cli.start import start_jax
from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.scoring.scores import make_score_fn
from rdvar_jax.scoring.thresholds import from_mean_rate
from rdvar_jax.training.fit import Computation, Trainer, first_state, student_of
from rdvar_jax.training.folds import FoldScores, like_new, score_fold, split_folds
from rdvar_jax.training.loop import Schedule
from rdvar_jax.training.placement import choose_placement
from rdvar_jax.training.step import TrainState, build_optimiser

POOLINGS = ("max", 0.001, 0.003, 0.01, 0.03, 0.1)
NUM_FOLDS = 3
BATCH_SIZE = 8
TARGET = 0.05
NUM_RESAMPLES = 10_000
MEASURES = ("auroc", "false_alarms", "recall", "oracle_recall")


def pooled(maps: np.ndarray, pooling: str | float) -> np.ndarray:
    """Returns the scores [N] of maps [N, H, W]."""
    flat = np.sort(maps.reshape(len(maps), -1), axis=1)[:, ::-1]
    if pooling == "max":
        return flat[:, 0]
    return flat[:, : max(1, round(float(pooling) * flat.shape[1]))].mean(axis=1)


def redraw(
    model: ReverseDistillation,
    good: np.ndarray,
    defective: np.ndarray,
    number: int,
    epochs: int,
    seed: int,
) -> dict[str, Any]:
    """Trains on `number` of the good images, and scores all others.

    Returns:
        Scores by pooling: of the held-out good images, the defective ones, and the trained ones by
        the final student ("seen"), by the folds' ones, and of both what the threshold is chosen
        from ("like_new").
    """
    start = time.perf_counter()
    order = np.random.default_rng(seed).permutation(len(good))
    chosen, rest = good[order[:number]], good[order[number:]]
    model = model.with_new_student(seed)
    parallel = Parallel("pmap", tuple(jax.local_devices()[:1]))
    placement = choose_placement(
        chosen.nbytes, 0, memory_budget_gb=4, cache_features="on", cache_budget_gb=8
    )
    tx = build_optimiser(0.005, 0.5, 0.999)
    loss = RDVarLoss()
    trainer = Trainer(
        model, chosen, BATCH_SIZE, Computation(parallel, placement, "float32"), loss=loss, tx=tx
    )
    schedule = Schedule(number, BATCH_SIZE, epochs, seed, 1000, epochs, 0)
    size = chosen.shape[1:3]
    score_fn = make_score_fn(
        model.teacher, model.student, size, BATCH_SIZE, parallel, precision="float32"
    )
    teacher = parallel.replicate(dict(model.teacher_variables))

    def maps_of(state: TrainState, images: np.ndarray) -> np.ndarray:
        return score_fn(teacher, parallel.to_local(student_of(state)), images)[0]

    def first() -> TrainState:
        return first_state(model, tx, loss, parallel)

    state, losses = trainer.fit(first(), schedule, progress=False)
    found = {
        "good": maps_of(state, rest),
        "defective": maps_of(state, defective),
        "seen": maps_of(state, chosen),
    }

    scored: list[np.ndarray] = []  # maps of each call for a fold

    def score(state: TrainState, rows: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        scored.append(maps_of(state, chosen[list(rows)]))
        return scored[-1], scored[-1].max(axis=(1, 2))

    folds: list[list[FoldScores]] = [[] for _ in POOLINGS]
    maps = np.empty((number, *size), np.float32)
    for index, rows in enumerate(split_folds([str(i) for i in order[:number]], NUM_FOLDS, seed)):
        settings = (schedule, rows, f"fold {index + 1}")
        scored.clear()
        one = score_fold(trainer, first, score, *settings, progress=False, second=index == 0)
        maps[list(rows)] = one.maps
        for of_pooling, pooling in zip(folds, POOLINGS, strict=True):
            own, seen, *second = [pooled(of, pooling) for of in scored]
            of_fold = FoldScores(rows, one.maps, own, float(np.median(seen)))
            if second:
                median = float(np.median(second[1]))
                of_fold = replace(of_fold, few_scores=second[0], few_seen_median=median)
            of_pooling.append(of_fold)
    found["folds"] = maps
    peaks = found["seen"].max(axis=(1, 2))
    return {
        "seed": seed,
        "number": number,
        "epochs": epochs,
        "loss": losses[-1]["loss"],
        "seconds": time.perf_counter() - start,
        "scores": {
            str(pooling): {
                **{name: as_list(pooled(of, pooling)) for name, of in found.items()},
                "like_new": as_list(new.scores),
                "shifts": new.shifts,
                "factor": new.factor,
                "rows": [list(one.rows) for one in parts],
            }
            for pooling, parts in zip(POOLINGS, folds, strict=True)
            for new in [like_new(parts, pooled(found["seen"], pooling), peaks)]
        },
    }


def as_list(scores: np.ndarray) -> list[float]:
    return [round(float(score), 7) for score in scores]


def summary(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns means over the redraws of one set, by pooling, with their standard errors.

    Of each redraw: the image AUROC; the share of held-out good images above the threshold of the
    folds; the share of defects above it (recall), and above the threshold that exactly 5 % of the
    held-out good images exceed (an oracle). "interval" is the 95 % bootstrap interval over the
    redraws of the one recall over the other. "without_factor" has the same for "max" had the
    folds' excess been taken as it is.
    """
    found: dict[str, Any] = {name: lines[0][name] for name in ("number", "epochs")}
    found["redraws"] = len(lines)
    found["factor"] = float(np.mean([line["scores"]["max"]["factor"] for line in lines]))
    first = np.array([_measure(line, "max") for line in lines])
    plain = np.array([_measure(_without_factor(line), "max") for line in lines])
    found["without_factor"] = {
        "false_alarms": float(plain[:, 1].mean()),
        "recall_by_oracle": float(plain[:, 2].mean() / plain[:, 3].mean()),
    }
    for pooling in map(str, POOLINGS):
        values = np.array([_measure(line, pooling) for line in lines])
        errors = values.std(axis=0, ddof=1) / math.sqrt(len(values))
        more = values[:, 0] - first[:, 0]
        found[pooling] = {
            name: {"mean": float(mean), "standard_error": float(error)}
            for name, mean, error in zip(MEASURES, values.mean(axis=0), errors, strict=True)
        }
        found[pooling]["auroc_minus_max"] = {
            "mean": float(more.mean()),
            "standard_error": float(more.std(ddof=1) / math.sqrt(len(more))),
        }
        found[pooling]["recall_by_oracle"] = float(values[:, 2].mean() / values[:, 3].mean())
        found[pooling]["interval"] = _interval(values[:, 2], values[:, 3])
    return found


def _interval(recalls: np.ndarray, of_oracle: np.ndarray) -> list[float]:
    """Returns the bootstrap interval, 95 %, of the mean of the one over that of the other."""
    rows = np.random.default_rng(0).integers(0, len(recalls), (NUM_RESAMPLES, len(recalls)))
    ratios = recalls[rows].mean(axis=1) / of_oracle[rows].mean(axis=1)
    return [float(x) for x in np.quantile(ratios, [0.025, 0.975])]


def _without_factor(line: dict[str, Any]) -> dict[str, Any]:
    """Returns a redraw whose "like_new" scores have the whole excess of the folds."""
    scores = line["scores"]["max"]
    seen, new = np.array(scores["seen"]), np.array(scores["like_new"])
    whole = seen + (new - seen) / scores["factor"]
    return {"scores": {"max": {**scores, "like_new": whole.tolist()}}}


def _measure(line: dict[str, Any], pooling: str) -> tuple[float, float, float, float]:
    """Returns MEASURES of one redraw."""
    names = ("good", "defective", "like_new")
    scores = {name: np.array(line["scores"][pooling][name], np.float32) for name in names}
    good, defective = scores["good"], scores["defective"]
    threshold = np.float32(from_mean_rate(scores["like_new"], TARGET).value)
    oracle = np.quantile(good, 1 - TARGET, method="higher")
    labels = np.repeat([0, 1], [len(good), len(defective)])
    area = auroc(np.concatenate([good, defective]), labels)
    assert area is not None
    alarms, recall = np.mean(good > threshold), np.mean(defective > threshold)
    return area, float(alarms), float(recall), float(np.mean(defective > oracle))


def main() -> None:
    """Runs redraws of a set, or sums them up."""
    parser = argparse.ArgumentParser(description="Measures thresholds from few good images.")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("run")
    one.add_argument("--data", type=Path, required=True, help="a category's folder")
    one.add_argument("--weights", required=True, help="ImageNet weights of ResNet-18")
    one.add_argument("--output", type=Path, required=True, help="JSON lines")
    one.add_argument("--number", type=int, default=100, help="of good images to train on")
    one.add_argument("--redraws", type=int, default=20)
    one.add_argument("--image_size", type=int, default=96)
    one.add_argument("--epochs", type=int, default=10)
    whole = commands.add_parser("summary")
    whole.add_argument("redraws", type=Path, nargs="+", help="outputs of run")
    whole.add_argument("--output", type=Path, required=True, help="the JSON file")
    args = parser.parse_args()
    if args.command == "summary":
        _sum_up(args.redraws, args.output)
    else:
        _run(args)


def _run(args: argparse.Namespace) -> None:
    start_jax()
    parts = load_category(args.data, image_size=args.image_size)
    test = parts.test
    images, trained = np.asarray(test.images), np.asarray(parts.train.images)
    good = np.concatenate([trained, images[test.labels == 0]])
    model = ReverseDistillation("resnet18", weights=args.weights)
    done = args.output.read_text().count("\n") if args.output.exists() else 0
    for seed in range(done, args.redraws):
        settings = (min(args.number, len(trained)), args.epochs, seed)
        line = redraw(model, good, images[test.labels == 1], *settings)
        about = {"set": args.data.name, "image_size": args.image_size, "commit": git_commit()}
        with args.output.open("a") as file:
            file.write(json.dumps({**about, **line}) + "\n")
        print(f"{args.data.name} {seed}: loss {line['loss']:.4f}, {line['seconds']:.0f} s")


def _sum_up(files: Sequence[Path], output: Path) -> None:
    sets = {}
    for file in files:
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        about = lines[0]
        commits = sorted({line["commit"] for line in lines})
        sets[f"{about['set']}, {about['epochs']} epochs"] = {"commits": commits, **summary(lines)}
    document = {"machine": machine(), "arch": "resnet18", "batch_size": BATCH_SIZE, "sets": sets}
    output.write_text(json.dumps(document, indent=2) + "\n")
    columns = ("AUROC", 8), ("- max", 17), ("alarms", 15), ("recall", 8), ("/oracle", 9)
    print(f"{'set':26s}{'pooling':>8s}" + "".join(f"{name:>{width}s}" for name, width in columns))
    for name, found in sets.items():
        for pooling in map(str, POOLINGS):
            at = found[pooling]
            more, alarms = at["auroc_minus_max"], at["false_alarms"]
            print(
                f"{name:26s}{pooling:>8s}{at['auroc']['mean']:8.4f}"
                f"{more['mean']:+9.4f} ±{more['standard_error']:.4f}"
                f"{alarms['mean']:8.3f} ±{alarms['standard_error']:.3f}"
                f"{at['recall']['mean']:8.3f}{at['recall_by_oracle']:9.2f}"
            )


if __name__ == "__main__":
    main()
