"""The process of one run: trains, scores the test set, and writes the result.

    python -m reproduction.one_run FOLDER [--keep_checkpoints]

Whoever starts it holds the other end of its standard input. When that closes, because the sweep
was stopped or killed, the run saves its state and ends.
"""

import os
import resource
import signal
import sys
import threading
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from benchmark_rows.process import OthersClock

from rdvar_jax.cli.start import start_jax, start_logging
from rdvar_jax.errors import UserError
from rdvar_jax.files.replacing import replacing, write_json
from rdvar_jax.runs.config import Config
from rdvar_jax.training.stop import Stopped
from reproduction import collapse
from reproduction.run_folder import RunFolder

# Modules with `train(config, folder) -> Trained`, by what an identity calls them.
PROGRAMS = {"rdvar": "rdvar_program", "torch": "torch_program", "centre": "centre_program"}
EXAMPLES = 4
ORACLE_METRICS = ("image_auroc", "pixel_auroc", "aupro")


def main(argv: list[str]) -> int:
    """Runs one folder and returns the exit code: 0 done, 1 or 2 failed, 128 + n stopped."""
    threading.Thread(target=_stop_with_the_sweep, daemon=True).start()
    run = RunFolder(Path(argv[0]))
    with run.locked():
        if not run.is_finished:
            run.failure.unlink(missing_ok=True)
            start_logging()
            run.note("started", pid=os.getpid())
            code = _attempt(run)
            run.note("ended", code=code)
            if code:
                return code
        if "--keep_checkpoints" not in argv:
            run.clear()
    return 0


def _stop_with_the_sweep() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _attempt(run: RunFolder) -> int:
    try:
        identity, config = run.read_request()
        start_jax()
        program = identity.get("program", "rdvar")
        result, timing, examples = run_config(config, run.workdir, program)
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return 128 + stopped.signal_number
    except UserError as error:
        print(error, file=sys.stderr)
        run.fail(str(error))
        return 2
    except Exception as error:
        traceback.print_exc()
        run.fail(f"{type(error).__name__}: {error}")
        return 1
    _write_examples(run.examples, examples)
    write_json(run.timing, {**timing, "resumed": _num_starts(run) > 1})
    write_json(run.result, {"address": run.folder.name, **identity, **result})
    return 0


def _num_starts(run: RunFolder) -> int:
    return sum(line["event"] == "started" for line in run.read_attempts())


def run_config(
    config: Config, folder: Path, program: str = "rdvar"
) -> tuple[dict[str, Any], dict[str, Any], dict[str, np.ndarray]]:
    """Trains and evaluates one config.

    Args:
        config: of `rdvar train`.
        folder: the workdir; a stopped run there is resumed, where the program can.
        program: one of `PROGRAMS`.

    Returns:
        The result, in which nothing depends on time; how long it took; and examples: `names`,
        `images` [n, S, S, 3], `masks` [n, S, S] and `maps` [n, S, S].
    """
    import jax

    from rdvar_jax.runs.recipe import Recipe
    from rdvar_jax.scoring.all_metrics import evaluate_maps

    train = import_module(f"reproduction.{PROGRAMS[program]}").train
    others = OthersClock() if Path("/proc/stat").exists() else None  # Linux has it
    start = time.perf_counter()
    trained = train(config, folder)
    trained_at = time.perf_counter()
    test_set = Recipe.for_evaluation(config).load_test()
    maps, scores = trained.score(test_set.images)
    metrics = evaluate_maps(maps, scores, test_set.masks, test_set.labels, test_set.valid_mask)
    end = time.perf_counter()

    result = {
        "category": config.data.category,
        "seed": config.train.seed,
        "metrics": metrics,
        "undefined": test_set.undefined,
        "oracle": _oracle(trained.evaluations),
        "collapse": _collapse(trained, test_set.images, test_set.labels, scores),
        "step": trained.step,
        "epoch": trained.epoch,
        "epochs": [
            {name: line[name] for name in ("epoch", "loss", "loss_model", "loss_var")}
            for line in trained.epochs
        ],
        "num_good": int(np.sum(test_set.labels == 0)),
        "num_defective": int(np.sum(test_set.labels == 1)),
        "device": jax.local_devices()[0].device_kind,
    }
    usage = resource.getrusage(resource.RUSAGE_SELF)
    timing = {
        "seconds_per_step": trained.seconds_per_step,
        "steps": trained.step,
        "train_seconds": trained_at - start,
        "evaluate_seconds": end - trained_at,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "others_cores": others.cores(usage.ru_utime + usage.ru_stime) if others else None,
    }
    chosen = _choose_examples([record.defect for record in test_set.records], test_set.labels)
    examples = {
        "names": np.array([test_set.records[index].name for index in chosen]),
        "images": test_set.images[chosen],
        "masks": test_set.masks[chosen],
        "maps": maps[chosen],
    }
    return result, timing, examples


def _collapse(
    trained: Any, images: Any, labels: np.ndarray, scores: np.ndarray
) -> dict[str, Any] | None:
    """The measures of `collapse.py` at the last epoch; None where there are no maps of images."""
    good = np.flatnonzero(labels == 0)[: collapse.MOST_IMAGES]
    if trained.first_features is None or len(good) < 2:
        return None
    measures = collapse.measure(*trained.first_features(np.asarray(images[good])))
    last = trained.epochs[-1]
    return {
        "loss_model": last["loss_model"],
        "loss_var": last["loss_var"],
        **measures,
        "separation": collapse.separation(scores, labels),
    }


def _oracle(evaluations: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The best that any evaluation in training saw of each metric, chosen with test labels."""
    if not evaluations:
        return None
    seen = {name: [line[name] for line in evaluations if name in line] for name in ORACLE_METRICS}
    best = {name: max(values) for name, values in seen.items() if values}
    return {**best, "num_evaluations": len(evaluations)}


def _choose_examples(defects: list[str], labels: np.ndarray) -> list[int]:
    """The first defective image of each kind of defect, whatever their scores."""
    first: dict[str, int] = {}
    for index, (defect, label) in enumerate(zip(defects, labels, strict=True)):
        if label == 1:
            first.setdefault(defect, index)
    return list(first.values())[:EXAMPLES]


def _write_examples(path: Path, examples: dict[str, np.ndarray]) -> None:
    # Into an open file, since savez appends .npz to a path of another suffix.
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **examples)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
