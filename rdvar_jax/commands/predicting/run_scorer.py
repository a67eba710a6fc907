"""Scores images with a run's state."""

from rdvar_jax.commands.predicting.scorer import Load, Scorer
from rdvar_jax.commands.predicting.scoring_setup import (
    complete_thresholds,
    find_scale,
    origin,
    remarks_on,
)
from rdvar_jax.commands.predicting.threshold_words import threshold_words
from rdvar_jax.runs.config import Config
from rdvar_jax.runs.recipe import Recipe
from rdvar_jax.runs.run import Run
from rdvar_jax.runs.threshold_file import read_threshold
from rdvar_jax.runs.workdir import Workdir
from rdvar_jax.serving.judgement import Thresholds


def run_scorer(
    config: Config,
    workdir: Workdir,
    checkpoint: str = "latest",
    *,
    scale: tuple[float, float] | None = None,
    colored: bool = True,
) -> Load:
    """Returns what loads a run's state.

    Args:
        config: the run's, from `load_config`. Of its `data` section only `image_size` and
          `geometry` are needed.
        workdir: the run's folder.
        checkpoint: "latest" or "best".
        scale: the colour scale; None for that of the run's evaluation.
        colored: whether a colour scale is needed.

    Raises:
        UserError: the settings cannot be used.
    """
    recipe = Recipe.for_prediction(config)

    def load(given: Thresholds) -> Scorer:
        trained = Run(recipe, workdir).load_scorer(checkpoint)
        saved, stored = trained.saved, None
        thresholds = complete_thresholds(given, config, workdir, checkpoint, saved)
        if given.image is None:
            stored = read_threshold(config, workdir, checkpoint, saved)
        known = scale
        if colored and known is None:
            known = find_scale(workdir, checkpoint, saved)
        state = "" if checkpoint == "latest" else f", {checkpoint} state"
        return Scorer(
            recipe.geometry,
            config.score.batch_size,
            trained.score,
            thresholds,
            known,
            remarks_on("images", recipe.geometry, saved),
            origin(config, saved),
            f"Run {workdir.folder.name}{state}, step {saved.step}",
            threshold_words(given, stored, "rdvar threshold chooses one from good images"),
        )

    return load
