"""`rdvar train` and its scoring; a stopped run goes on from its last checkpoint."""

import json
import statistics
from pathlib import Path

from rdvar_jax.commands.train import train as rdvar_train
from rdvar_jax.runs.config import Config
from rdvar_jax.runs.recipe import Recipe
from rdvar_jax.runs.run import Run
from rdvar_jax.runs.workdir import Workdir
from reproduction.trained import Trained


def train(config: Config, folder: Path) -> Trained:
    """Trains on a config's category, in the workdir `folder`."""
    rdvar_train(config, folder)
    workdir = Workdir(folder.resolve())
    run = Run(Recipe.for_evaluation(config), workdir)
    trained = run.load_scorer()
    lines = [json.loads(line) for line in workdir.metrics.read_text().splitlines()]
    rates = [line["images_per_second"] for line in lines if line["kind"] == "train"]
    rates = [rate for rate in rates if rate > 0]  # the first step has none: it compiles

    def first_features(images):
        found = run.model().features(images, precision=config.compute.precision)
        return found.teacher[0], found.student[0]

    return Trained(
        score=trained.score,
        first_features=None if trained.geometry.is_tiled else first_features,
        epochs=[line for line in lines if line["kind"] == "epoch"],
        step=trained.saved.step,
        epoch=trained.saved.epoch,
        seconds_per_step=config.train.batch_size / statistics.median(rates) if rates else None,
        evaluations=[line for line in lines if line["kind"] == "evaluation"],
    )
