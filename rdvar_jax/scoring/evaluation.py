"""`score` and `evaluate`: scores of images, and all metrics of a test set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import jax
import numpy as np

from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.models.image_size import ImageSize, check_images
from rdvar_jax.models.reverse_distillation import ReverseDistillation
from rdvar_jax.scoring.all_metrics import evaluate_maps, without_ignored
from rdvar_jax.scoring.finite import refuse_not_finite
from rdvar_jax.scoring.maps import SIGMA
from rdvar_jax.scoring.pooling import MAX, Pooling, is_pooling, pack_pixels
from rdvar_jax.scoring.scores import make_prepare_fn, make_score_fn


class HasModel(Protocol):
    """Result of training; it has a model."""

    @property
    def model(self) -> ReverseDistillation: ...


class ScoredImages(Protocol):
    """Test images of `load_category`, or any object with these attributes.

    Attributes:
        images: uint8 [N, H, W, 3].
        masks: bool [N, H, W], true where defective.
        labels: int [N]: 0 good, 1 defective, negative if unlabelled.
        valid_mask: bool [N, H, W], the pixels that count; None where all do.
    """

    images: Any
    masks: np.ndarray
    labels: np.ndarray
    valid_mask: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A scored test set of N images.

    Attributes:
        metrics: by name, as in results.json; None where the set cannot define one.
        maps: float32 [N, H, W], raw; higher where an image is more unusual.
        scores: float32 [N], raw: the maximum of each map, unless scored with another `pooling`.

    Example:
        >>> result = evaluate(fitted, parts.test)
        >>> result.metrics["pixel_auroc"], result.maps.shape, result.scores.argmax()
    """

    metrics: dict[str, float | None]
    maps: np.ndarray
    scores: np.ndarray


def make_scorer(
    model: ReverseDistillation,
    image_size: ImageSize,
    batch_size: int,
    parallel: Parallel,
    *,
    sigma: float = SIGMA,
    precision: str = "tf32",
    pooling: Pooling = MAX,
    ignored: np.ndarray | None = None,
) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Makes (images, progress=False) -> (maps [N, H, W], scores [N]), float32, raw.

    The model's variables are put on the devices once, prepared for fast scoring.

    Args:
        model: teacher and student.
        image_size: S or (H, W).
        batch_size: images per call, over all devices.
        parallel: the devices.
        sigma: standard deviation of the map's Gaussian blur, in pixels.
        precision: "float32", "tf32" or "bfloat16".
        pooling: "max", or the share of each map's pixels whose mean is the score.
        ignored: bool [H, W], the pixels that do not count; None if all do.
    """
    networks = model.teacher, model.student, image_size, batch_size, parallel
    score = make_score_fn(*networks, sigma, precision, pooling, pack_pixels(ignored))
    prepare = make_prepare_fn(*networks, precision)
    variables = prepare(
        parallel.replicate(dict(model.teacher_variables)),
        parallel.replicate(dict(model.student_variables)),
    )

    def score_images(images: Any, progress: bool = False) -> tuple[np.ndarray, np.ndarray]:
        return score(*variables, images, progress=progress)

    return score_images


def score(
    model: ReverseDistillation | HasModel,
    images: Any,
    *,
    batch_size: int = 16,
    sigma: float = SIGMA,
    precision: str = "tf32",
    pooling: Pooling = MAX,
    ignored: np.ndarray | None = None,
    devices: Sequence[Any] | None = None,
    mode: Literal["pmap", "shard_map"] = "pmap",
    progress: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Scores images.

    Args:
        model: a model, or the result of `fit`.
        images: uint8 [N, H, W, 3] in RGB, H and W multiples of 32.
        batch_size: images per call over all devices; a multiple of their number.
        sigma: standard deviation of the map's Gaussian blur, in pixels; 4 in RD4AD.
        precision: "float32", "tf32" or "bfloat16".
        pooling: the score is the map's maximum for "max" (RD4AD), or the mean of this share of its
          pixels, the highest, such as 0.01.
        ignored: bool [H, W], pixels of every image that do not count, and where maps are 0; None if
          all count.
        devices: by default all of this process.
        mode: JAX transformation that runs the function on all devices.
        progress: show a progress bar.

    Returns:
        Maps [N, H, W] and scores [N], float32, raw: higher is more unusual.

    Raises:
        DataError: the images are of another dtype or shape.

    Example:
        >>> maps, scores = score(fitted, parts.test.images)
    """
    if not is_pooling(pooling):
        raise ValueError(f"pooling={pooling!r} must be {MAX!r} or a number in (0, 1]")
    if not isinstance(model, ReverseDistillation):
        model = model.model
    check_images(images)
    parallel = Parallel(mode, tuple(devices or jax.local_devices()))
    if batch_size % parallel.num_devices:
        raise ValueError(
            f"batch_size={batch_size} cannot be split over {parallel.num_devices} devices; use a "
            f"multiple of {parallel.num_devices}"
        )
    height, width = images.shape[1:3]
    if ignored is not None and (
        ignored.dtype != bool or ignored.shape != (height, width) or ignored.all()
    ):
        raise ValueError(f"ignored must be bool [{height}, {width}] and leave a pixel that counts")
    scorer = make_scorer(
        *(model, (height, width), batch_size, parallel),
        sigma=sigma,
        precision=precision,
        pooling=pooling,
        ignored=ignored,
    )
    return scorer(images, progress)


def evaluate(
    model: ReverseDistillation | HasModel,
    test: ScoredImages,
    *,
    ignored: np.ndarray | None = None,
    **options: Any,
) -> Evaluation:
    """Scores a test set and computes all metrics exactly.

    Args:
        model: a model, or the result of `fit`.
        test: test images, masks and labels.
        ignored: see `score`; these pixels count in no metric either.
        **options: see `score`.

    Returns:
        Metrics, maps and scores. The metrics are image and pixel AUROC, average precision and
        F1-max, AUPRO up to a false-positive rate of 0.3 (MVTec's), and RD4AD's per-image PRO under
        its own name.

    Raises:
        DataError: see `score`, or a score is not finite.

    Example:
        >>> result = evaluate(fitted, load_category("mvtec/screw").test)
        >>> result.metrics["image_auroc"], result.metrics["aupro"]
    """
    maps, scores = score(model, test.images, ignored=ignored, **options)
    refuse_not_finite([f"image {index}" for index in range(len(scores))], scores)
    masks, valid_mask = without_ignored(test.masks, test.valid_mask, ignored)
    metrics = evaluate_maps(maps, scores, masks, test.labels, valid_mask)
    return Evaluation(metrics, maps, scores)
