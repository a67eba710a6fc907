"""Both losses, at least in float32, on features [B, C, H, W]."""

# torch is not among this project's dependencies, so it is absent where pyright runs.
# pyright: reportMissingImports=false

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

STAGES = ("d1", "d2", "d3")


@dataclass(frozen=True)
class LossSettings:
    """L = L_model + lambda_var * L_var.

    Attributes:
        lambda_var: weight of the variance loss.
        stages: decoder stages whose variance losses are added, of `STAGES`.
        distance: "cosine", "l1" or "l2", between a feature vector and the batch's mean.
        reduction: "mean" or "sum", of "l1" and "l2" over the dimensions.
        stop_gradient_mean: treat the batch's mean as a constant.
        distillation: "flat", one vector an image (RD4AD's code), or "pixel" (RD4AD's paper).
    """

    lambda_var: float = 0.1
    stages: tuple[str, ...] = ("d1",)
    distance: str = "cosine"
    reduction: str = "mean"
    stop_gradient_mean: bool = False
    distillation: str = "flat"


def distillation_loss(teacher_features: Sequence, student_features: Sequence, distillation: str):
    """The sum over the scales of the mean of 1 - cos(teacher, student); a scalar."""
    total = 0
    for teacher, student in zip(teacher_features, student_features, strict=True):
        teacher, student = _precise(teacher), _precise(student)
        if distillation == "flat":
            teacher, student = teacher.flatten(1), student.flatten(1)
        total = total + (1 - F.cosine_similarity(teacher, student, dim=1)).mean()
    return total


def variance_loss(features, settings: LossSettings):
    """The mean distance of the flattened features to their mean over the batch; a scalar."""
    vectors = _precise(features).flatten(1)
    mean = vectors.mean(dim=0, keepdim=True)
    if settings.stop_gradient_mean:
        mean = mean.detach()
    if settings.distance == "cosine":
        return (1 - F.cosine_similarity(vectors, mean, dim=1)).mean()
    difference = vectors - mean
    distance = difference.abs() if settings.distance == "l1" else difference.square()
    distance = distance.mean(dim=1) if settings.reduction == "mean" else distance.sum(dim=1)
    return distance.mean()


def total_loss(teacher_features: Sequence, student_features: Sequence, settings: LossSettings):
    """(L, L_model, L_var), scalars."""
    loss_model = distillation_loss(teacher_features, student_features, settings.distillation)
    loss_var = sum(
        variance_loss(student_features[STAGES.index(stage)], settings) for stage in settings.stages
    )
    return loss_model + settings.lambda_var * loss_var, loss_model, loss_var


def _precise(x):
    return x if x.dtype == torch.float64 else x.float()
