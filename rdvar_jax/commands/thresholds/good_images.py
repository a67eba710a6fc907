"""Good images of a threshold: scored, and those that the run was trained on left out."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from rdvar_jax.commands.predicting.prediction_checks import say
from rdvar_jax.commands.predicting.scoring_setup import remarks_on
from rdvar_jax.data.loading.skipping import leave_out
from rdvar_jax.data.pixels.image_hash import ImageHash, hash_images
from rdvar_jax.data.sets.inputs import decode_batches
from rdvar_jax.data.sets.listing import some_names
from rdvar_jax.data.sets.records import HasPath
from rdvar_jax.errors import DataError
from rdvar_jax.runs.recipe import Recipe
from rdvar_jax.runs.saved_run import TrainedRun
from rdvar_jax.runs.trained_images import Seen, describe_seen, find_seen, read_trained_images
from rdvar_jax.runs.workdir import Workdir
from rdvar_jax.scoring.finite import refuse_not_finite
from rdvar_jax.scoring.outliers import find_outliers

logger = logging.getLogger("rdvar_jax")


@dataclass(frozen=True, eq=False)
class ScoredImages:
    """Images with their scores and the maxima of their maps, both float32 [N], and hashes."""

    images: Sequence[HasPath]
    scores: np.ndarray
    peaks: np.ndarray
    hashes: Sequence[ImageHash]

    @property
    def names(self) -> list[str]:
        return [image.name for image in self.images]

    def only(self, indices: Sequence[int]) -> "ScoredImages":
        """Returns the images of these indices alone."""
        return ScoredImages(
            [self.images[i] for i in indices],
            self.scores[list(indices)],
            self.peaks[list(indices)],
            [self.hashes[i] for i in indices],
        )


def score_images(
    recipe: Recipe, trained: TrainedRun, split: str, images: Sequence[HasPath]
) -> ScoredImages:
    """Scores the images that can be read; see `data.on_error`."""
    failures: dict[int, DataError] = {}
    index_of = {image.path: index for index, image in enumerate(images)}

    def skip(image: HasPath, reason: str) -> None:
        failures[index_of[image.path]] = DataError(reason)

    read: list[HasPath] = []
    scores, peaks, hashes = [], [], []
    with tqdm(total=len(images), desc="good images", unit="img", disable=None) as bar:
        geometry, batch_size = recipe.geometry, recipe.config.score.batch_size
        may_skip = skip if recipe.config.data.on_error == "skip" else None
        remarks = remarks_on("good images", geometry, trained.saved)
        for batch, pixels in decode_batches(images, geometry, batch_size, may_skip, remarks):
            read += batch
            maps, batch_scores = trained.score(pixels)
            scores.append(batch_scores)
            peaks.append(maps.max(axis=(1, 2)))
            refuse_not_finite([image.name for image in batch], scores[-1])
            hashes += hash_images(pixels)
            bar.update(len(batch))
    say(remarks)
    leave_out(images, failures, split)
    return ScoredImages(read, np.concatenate(scores), np.concatenate(peaks), hashes)


def new_images(
    scored: ScoredImages, workdir: Workdir, trained: TrainedRun
) -> tuple[ScoredImages, list[Seen]]:
    """Leaves out images that the run was trained on, and repeats; warnings name them.

    Returns:
        The images that can bound a rate of new images, perhaps none, and those that the run was
        trained on.

    Raises:
        CheckpointError: see `read_trained_images`.
    """
    known = read_trained_images(workdir, trained.saved)
    seen: list[Seen | None] = [None] * len(scored.images)
    if known is None:
        logger.info(
            "%s is missing, as in imported runs and those of earlier versions, or was written by a "
            "later one: it cannot be checked whether this run was trained on the good images",
            workdir.trained_images,
        )
    else:
        seen = find_seen(known, scored.names, scored.hashes)
    found = [one for one in seen if one is not None]
    if found:
        lower = "because their scores are lower than those of new images"
        what = f"they do not count, {lower}"
        if len(found) == len(seen):
            what = (
                f"so the false-positive rate of new images has no bound, {lower}; give good images "
                "that it was not trained on"
            )
        logger.warning("%s; %s", describe_seen(found, len(seen), "good images"), what)
    fresh = scored.only([index for index, one in enumerate(seen) if one is None])
    return _without_repeats(fresh), found


def _without_repeats(scored: ScoredImages) -> ScoredImages:
    """Counts equal images once: a bound holds for images that were taken independently."""
    first: dict[str, int] = {}
    repeats = []
    for index, (image, digest) in enumerate(zip(scored.images, scored.hashes, strict=True)):
        if first.setdefault(digest.sha256, index) != index:
            repeats.append(f"{image.name} (as {scored.images[first[digest.sha256]].name})")
    if repeats:
        logger.warning(
            "%d of the %d good images repeat the pixels of another one, and each picture counts "
            "once: %s",
            len(repeats),
            len(scored.images),
            some_names(repeats),
        )
    return scored.only(list(first.values()))


def name_outliers(names: Sequence[str], scores: np.ndarray) -> list[dict[str, str | float]]:
    """Returns name and score of the outliers, highest first; a warning names them."""
    indices = find_outliers(scores)
    found = [(names[i], float(scores[i])) for i in indices]
    if found:
        others = np.delete(scores, indices)
        logger.warning(
            "%d of the %d good images score far above the others, whose highest score is %.6g: %s; "
            "look at them, and leave out with --exclude those that show a defect",
            len(found),
            len(scores),
            others.max(),
            some_names([f"{name} {score:.6g}" for name, score in found]),
        )
    return [{"name": name, "score": score} for name, score in found]
