"""Losses, in float32: the paper's `RDVarLoss`, and `Loss`, the protocol of custom losses.

Each function sees one device's shard of the batch and returns the mean over it. The mean over the
devices is the loss of the global batch, since all shards have equal size; only the variance loss
needs the other devices, for its mean feature vector.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import jax.numpy as jnp
from jax import lax

from rdvar_jax.models.cosine import cosine_similarity
from rdvar_jax.training.loss_settings import STAGES


class Loss(Protocol):
    """A training loss: any function of both networks' features.

    It sees one device's shard of the batch and returns the mean over it. Values that need the other
    devices' features, such as a mean over the whole batch, use a collective over the mapped axis
    (`jax.lax.pmean(x, axis_name)`). The loss is differentiated with respect to the student's
    features; the teacher's are constants.

    Args:
        teacher_features: three maps [B, H, W, C], from the largest to the smallest.
        student_features: D1, D2, D3 of the same shapes, and what else a student of your own
            returns after them.
        axis_name: mapped axis over the devices.

    Returns:
        The scalar to minimise, and further scalars to log, by name. The names "loss", "grad_norm"
        and "count" are reserved.

    Example:
        >>> def smooth_l1(teacher_features, student_features, axis_name):
        ...     distances = [optax.huber_loss(s, t).mean()
        ...                  for t, s in zip(teacher_features, student_features)]
        ...     return sum(distances), {"largest_scale": distances[0]}
    """

    def __call__(
        self, teacher_features: Sequence, student_features: Sequence, axis_name: str | None, /
    ) -> tuple[Any, dict[str, Any]]: ...


@dataclass(frozen=True)
class RDVarLoss:
    """L = L_model + lambda_var * L_var (the paper's equation 1).

    L_var is computed and logged even if its weight is 0.

    Attributes:
        lambda_var: weight of the variance loss; 0 is plain reverse distillation.
        stages: decoder stages whose variance losses are added (the paper's Table V).
        distance: between a feature vector and the batch's mean (Table III).
        reduction: of the "l1" and "l2" distances over the feature dimensions.
        stop_gradient_mean: treat the mean vector as a constant.
        distillation: "flat" compares one vector per image and scale, as in RD4AD's code; "pixel"
          compares at each position and averages, as in its paper and in STFPM.

    Example:
        >>> shapes = (2, 16, 16, 4), (2, 8, 8, 8), (2, 4, 4, 16)
        >>> features = [np.random.default_rng(0).random(shape, np.float32) for shape in shapes]
        >>> loss = RDVarLoss(lambda_var=0.3, stages=("d1", "d2"))
        >>> total, parts = loss(features, features)
        >>> {name: round(abs(float(value)), 2) for name, value in parts.items()}
        {'loss_model': 0.0, 'loss_var': 0.11}
    """

    lambda_var: float = 0.1
    stages: tuple[str, ...] = ("d1",)
    distance: Literal["cosine", "l1", "l2"] = "cosine"
    reduction: Literal["mean", "sum"] = "mean"
    stop_gradient_mean: bool = False
    distillation: Literal["flat", "pixel"] = "flat"

    def __call__(
        self, teacher_features: Sequence, student_features: Sequence, axis_name: str | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Returns (L, {"loss_model": L_model, "loss_var": L_var}), scalars; see `Loss`."""
        loss_model = distillation_loss(teacher_features, student_features, self.distillation)
        loss_var = jnp.zeros((), jnp.float32)
        for stage in self.stages:
            loss_var += variance_loss(student_features[STAGES.index(stage)], self, axis_name)
        loss = loss_model + self.lambda_var * loss_var
        return loss, {"loss_model": loss_model, "loss_var": loss_var}


def distillation_loss(teacher_features: Sequence, student_features: Sequence, distillation: str):
    """Computes L_model: the sum over the scales of the mean of 1 - cos(teacher, student).

    Args:
        teacher_features: maps [B, H, W, C], one per scale.
        student_features: maps of the same shapes; anything after them is ignored.
        distillation: "flat" or "pixel"; see `RDVarLoss`.

    Returns:
        A scalar.

    References:
        Deng and Li, "Anomaly Detection via Reverse Distillation from One-Class Embedding", 2022,
        equations 1 and 2.
    """
    total = jnp.zeros((), jnp.float32)
    student_maps = student_features[: len(teacher_features)]
    for teacher, student in zip(teacher_features, student_maps, strict=True):
        if distillation == "flat":
            teacher, student = _flatten(teacher), _flatten(student)
        total += jnp.mean(1 - cosine_similarity(teacher, student, axis=-1))
    return total


def variance_loss(features, settings: RDVarLoss, axis_name: str | None = None):
    """Computes L_var of one decoder stage: the mean distance to the batch's mean feature vector.

    Args:
        features: the stage's output, [B, H, W, C].
        settings: distance, reduction and gradient through the mean.
        axis_name: mapped axis; the mean vector is that of the global batch.

    Returns:
        A scalar, with "cosine" in [0, 2]; 0 for a batch of one image.

    References:
        The paper's equations 2 to 5; Table III for the other distances: "l1" is |F_i - F| and "l2"
        is (F_i - F)², each averaged (or summed) over the dimensions.
    """
    vectors = _flatten(features).astype(jnp.float32)
    mean = vectors.mean(axis=0, keepdims=True)
    if axis_name is not None:
        mean = lax.pmean(mean, axis_name)
    if settings.stop_gradient_mean:
        mean = lax.stop_gradient(mean)

    if settings.distance == "cosine":
        return jnp.mean(1 - cosine_similarity(vectors, mean, axis=-1))
    difference = vectors - mean
    distance = jnp.abs(difference) if settings.distance == "l1" else jnp.square(difference)
    reduce = jnp.mean if settings.reduction == "mean" else jnp.sum
    return jnp.mean(reduce(distance, axis=-1))


def _flatten(features):
    return features.reshape(features.shape[0], -1)
