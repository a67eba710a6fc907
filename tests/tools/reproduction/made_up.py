"""Results that no run made: numbers with a spread, enough for every table and picture."""

from pathlib import Path

import numpy as np
from reproduction.build import write_experiment
from reproduction.experiments import EXPERIMENTS, Cell, cells
from reproduction.page import write_page
from reproduction.run_folder import RunFolder
from reproduction.sweep import Outcome

from rdvar_jax.runs.config import default_config

CATEGORIES = ("screw", "metal_nut", "my own part")
SEEDS = (0, 1, 2)


def write_all(output: Path) -> Path:
    """Writes reports of all experiments and gives the page."""
    base = default_config()
    examples = RunFolder(output / "runs" / "one")
    examples.folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    np.savez(
        examples.examples,
        names=np.array(["test/hole/000.png", "test/scratch/003.png"]),
        images=rng.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8),
        masks=np.arange(64) > np.full((2, 64, 1), 50),
        maps=rng.random((2, 64, 64), np.float32),
    )
    for name, experiment in EXPERIMENTS.items():
        made = [made_up(cell, rng, examples) for cell in cells(experiment, base, CATEGORIES, SEEDS)]
        write_experiment(experiment, made, ["a run: its reason"], base, "none", output / name)
    return write_page(output)


def made_up(cell: Cell, rng: np.random.Generator, run: RunFolder) -> Outcome:
    """One outcome of a cell."""
    image, pixel, aupro = rng.uniform(0.8, 1.0, 3)
    falling = np.exp(-np.arange(1, 9) / 4)
    result = {
        "address": "0123456789ab",
        "code": "c0de",
        "teacher": "7eac4e4",
        "data": "da7a",
        "versions": {"jax": "0"},
        "device": "cpu",
        "metrics": {"image_auroc": image, "pixel_auroc": pixel, "aupro": aupro},
        "collapse": {
            "loss_model": falling[-1] * rng.uniform(0.9, 1.1),
            "loss_var": falling[-1] * rng.uniform(0.1, 0.2),
            "spread": rng.uniform(0.01, 0.02),
            "effective_rank": rng.uniform(10, 20),
            "separation": rng.uniform(1, 2),
        },
        "oracle": {"image_auroc": 1.0, "pixel_auroc": 1.0},
        "epochs": [
            {"epoch": index + 1, "loss": value, "loss_model": value, "loss_var": value / 5}
            for index, value in enumerate(falling * rng.uniform(0.9, 1.1))
        ],
    }
    timing = {
        "seconds_per_step": rng.uniform(1.0, 1.1),
        "train_seconds": 10.0,
        "resumed": False,
        "others_cores": 0.0,
    }
    return Outcome(cell.variant, cell.category, cell.seed, result, timing, run)
