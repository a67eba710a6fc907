"""Good images that a threshold is chosen from: given, held out, or by folds."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rdvar_jax.commands.thresholds.good_images import new_images, score_images
from rdvar_jax.data.sets.excluded import exclude
from rdvar_jax.data.sets.inputs import find_inputs
from rdvar_jax.data.sets.records import HasPath
from rdvar_jax.errors import CheckpointError, ConfigError
from rdvar_jax.runs.config import Config
from rdvar_jax.runs.data_checks import find_data
from rdvar_jax.runs.fold_scores import GoodScores, read_good_scores
from rdvar_jax.runs.run import Run
from rdvar_jax.runs.saved_run import TrainedRun
from rdvar_jax.runs.threshold_file import same_scores, score_settings
from rdvar_jax.runs.trained_images import Seen
from rdvar_jax.training.manifest import SavedStep

logger = logging.getLogger("rdvar_jax")


@dataclass(frozen=True, eq=False)
class Good:
    """Scored good images, and where they are from.

    Attributes:
        split: "input", "validation", "folds" or "train".
        names: of the images.
        scores: float32 [N].
        peaks: float32 [N], the maxima of their maps.
        saved: the state that scored them.
        trained_on: those of the input that the run was trained on; they do not count.
        excluded: names of images that were left out.
        folds: of the split "folds".
        scorer: None where the scores were read.
    """

    split: str
    names: Sequence[str]
    scores: np.ndarray
    peaks: np.ndarray
    saved: SavedStep
    trained_on: Sequence[Seen] = ()
    excluded: Sequence[str] = ()
    folds: GoodScores | None = None
    scorer: TrainedRun | None = None


def find_good(run: Run, inputs: Sequence[Path], checkpoint: str, excluded: Sequence[str]) -> Good:
    """Scores the good images of a threshold, or takes the scores of the folds.

    Args:
        run: the run.
        inputs: files, folders and patterns; by default see `make_threshold`.
        checkpoint: "latest" or "best".
        excluded: names and patterns of images to leave out.

    Raises:
        UserError: the run or an image cannot be used.
    """
    if not inputs and not run.config.data.validation:
        saved = run.checkpoints.find(checkpoint)
        folds = None if saved is None else read_good_scores(run.workdir, saved)
        if saved is not None and folds is not None:
            _refuse_other_score(run, folds)
            return _of_folds(folds, saved, excluded)
    split, images = good_images_of(run.config, inputs)
    images, left_out = exclude(images, excluded)
    trained = run.load_scorer(checkpoint)
    scored = score_images(run.recipe, trained, split, images)
    trained_on: list[Seen] = []
    if split != "train":
        new, trained_on = new_images(scored, run.workdir, trained)
        split, scored = (split, new) if new.images else ("train", scored)
    if split == "train" and not trained_on:
        logger.warning(
            "these are training images, whose scores are lower than those of new ones: expect "
            "more false alarms than the threshold says; give good images that were not trained on "
            "with --input, or train with train.folds=3, or hold some out with data.validation"
        )
    return Good(
        split,
        scored.names,
        scored.scores,
        scored.peaks,
        trained.saved,
        trained_on,
        left_out,
        scorer=trained,
    )


def _refuse_other_score(run: Run, folds: GoodScores) -> None:
    if not same_scores(folds.score, score_settings(run.config)):
        raise CheckpointError(
            f"{run.workdir.good_scores} was made with the settings {folds.score}, now "
            f"{score_settings(run.config)}; restore the old ones, give good images with --input, "
            "or run the same rdvar train command again with the new ones."
        )


def _of_folds(folds: GoodScores, saved: SavedStep, excluded: Sequence[str]) -> Good:
    """Takes the folds' scores, each picture once."""
    named = [_Named(name, index) for index, name in enumerate(folds.names)]
    kept, left_out = exclude(named, excluded)
    first: dict[str, int] = {}
    for one in kept:
        first.setdefault(folds.images_sha256[one.index], one.index)
    if len(first) < len(kept):
        logger.warning(
            "%d of the %d good images repeat the pixels of another one, and each picture counts "
            "once",
            len(kept) - len(first),
            len(kept),
        )
    rows = list(first.values())
    names = [folds.names[row] for row in rows]
    scores, peaks = folds.scores[rows], folds.peaks[rows]
    return Good("folds", names, scores, peaks, saved, (), left_out, folds)


@dataclass(frozen=True)
class _Named:
    """A training image, by its name alone."""

    name: str
    index: int

    @property
    def path(self) -> Path:
        return Path(self.name)


def good_images_of(config: Config, inputs: Sequence[Path]) -> tuple[str, Sequence[HasPath]]:
    if inputs:
        return "input", find_inputs(inputs)
    if not config.data.root and not config.data.good:
        raise ConfigError("this run has no data.root; give good images with --input.")
    category = find_data(config)
    split = "validation" if category.validation else "train"
    return split, category.validation or category.train
