"""Both losses, in float32.

Each function sees one device's share of the batch and gives the mean over that share. The mean of
these over the devices is the loss of the global batch, since all shares have the same size; only
the variance loss needs to know the other devices, for its mean feature vector.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax

from rdvar_jax.models.cosine import cosine_similarity
from rdvar_jax.training.loss_settings import STAGES, LossSettings


def distillation_loss(teacher_features: Sequence, student_features: Sequence, distillation: str):
    """L_model: the sum over the scales of the mean of 1 - cos(teacher, student).

    Args:
        teacher_features: maps [B, H, W, C], one a scale.
        student_features: maps of the same shapes.
        distillation: "flat" or "pixel"; see `LossSettings`.

    Returns:
        A scalar.

    References:
        Deng and Li, "Anomaly Detection via Reverse Distillation from One-Class Embedding", 2022,
        equations 1 and 2.
    """
    total = jnp.zeros((), jnp.float32)
    for teacher, student in zip(teacher_features, student_features, strict=True):
        if distillation == "flat":
            teacher, student = _flatten(teacher), _flatten(student)
        total += jnp.mean(1 - cosine_similarity(teacher, student, axis=-1))
    return total


def variance_loss(features, settings: LossSettings, axis_name: str | None = None):
    """L_var of one decoder stage: the mean distance to the batch's mean feature vector.

    Args:
        features: the stage's output, [B, H, W, C].
        settings: distance, reduction and gradient through the mean.
        axis_name: mapped axis; the mean vector is that of the global batch.

    Returns:
        A scalar. With "cosine" it lies in [0, 2]; it is 0 for a batch of one image.

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


def total_loss(
    teacher_features: Sequence,
    student_features: Sequence,
    settings: LossSettings,
    axis_name: str | None = None,
):
    """L = L_model + lambda_var * L_var (the paper's equation 1).

    L_var is computed, and reported, also where its weight is 0.

    Returns:
        (L, {"loss": L, "loss_model": L_model, "loss_var": L_var}), scalars.
    """
    loss_model = distillation_loss(teacher_features, student_features, settings.distillation)
    loss_var = jnp.zeros((), jnp.float32)
    for stage in settings.stages:
        loss_var += variance_loss(student_features[STAGES.index(stage)], settings, axis_name)
    loss = loss_model + settings.lambda_var * loss_var
    return loss, {"loss": loss, "loss_model": loss_model, "loss_var": loss_var}


def _flatten(features):
    return features.reshape(features.shape[0], -1)
