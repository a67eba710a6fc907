"""STFPM, a relative of reverse distillation, and its quantities to compare with.

Source: "Student-Teacher Feature Pyramid Matching for Anomaly Detection" (Wang, Han, Ding and
Huang, 2021), with the settings of its section 4: SGD, no blur. The upsampling has half-pixel
centres, torch's default, which the paper leaves open.

Quantities are named as in `quantities.py`, with `teacher` and `student` as networks:

- `teacher/layer1`, `student/eval/d1`, `student/train/d1`, ...: features of the first batch.
- `maps`, `scores`: of the first batch, with running statistics.
- `gradient/L/conv1.weight`, ...: of loss L in the first train step.
- `steps/L/loss`, `steps/L/update/...`, `steps/L/statistics/...`: of the train steps.
"""

# torch is not among this project's dependencies, so it is absent where pyright runs.
# pyright: reportMissingImports=false

import copy
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from torch_reference.losses import STAGES, LossSettings, variance_loss
from torch_reference.network import Backbone, Teacher, normalise

LAYERS = ("layer1", "layer2", "layer3")
LOSS_PARTS = ("loss", "loss_model", "loss_var")
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.4, 0.9, 1e-4


class Pyramids(NamedTuple):
    """The frozen teacher and the trained student of the same shape."""

    teacher: Teacher
    student: Teacher


def build_pyramids(backbone: Backbone, stem_width: int) -> Pyramids:
    """Builds both networks with torch's own initialisation; the teacher is in evaluation mode."""
    return Pyramids(Teacher(backbone, stem_width).eval(), Teacher(backbone, stem_width))


def distances(teacher_features: Sequence, student_features: Sequence) -> list:
    """Half the squared distance of the unit vectors at each position: [B, h, w] for each scale."""
    pairs = zip(teacher_features, student_features, strict=True)
    return [
        (F.normalize(teacher, dim=1) - F.normalize(student, dim=1)).square().sum(dim=1) / 2
        for teacher, student in pairs
    ]


def total_loss(teacher_features: Sequence, student_features: Sequence, settings: LossSettings):
    """(L, L_model, L_var), scalars: the paper's loss, and the variance loss beside it."""
    loss_model = sum(each.mean() for each in distances(teacher_features, student_features))
    loss_var = sum(
        variance_loss(student_features[STAGES.index(stage)], settings) for stage in settings.stages
    )
    return loss_model + settings.lambda_var * loss_var, loss_model, loss_var


def product_maps(teacher_features: Sequence, student_features: Sequence, size: int) -> np.ndarray:
    """The product of the upsampled distances, [B, size, size]."""
    product = 1
    for each in distances(teacher_features, student_features):
        product = product * F.interpolate(
            each[:, None], size=size, mode="bilinear", align_corners=False
        )
    return product[:, 0].numpy(force=True)


def quantities(
    networks: Pyramids, batches: Sequence[np.ndarray], losses: Mapping[str, LossSettings]
) -> dict[str, np.ndarray]:
    """Everything to compare, for batches of uint8 images [B, S, S, 3]. Leaves the networks."""
    teacher, student = copy.deepcopy(networks)
    found: dict[str, np.ndarray] = {}
    with torch.no_grad():
        x = _input(networks, batches[0])
        targets = teacher(x)
        found |= _named("teacher", LAYERS, targets)
        for mode in ("eval", "train"):
            student.train(mode == "train")
            features = student(x)
            found |= _named(f"student/{mode}", STAGES, features)
            if mode == "eval":
                maps = product_maps(targets, features, batches[0].shape[1])
                found |= {"maps": maps, "scores": maps.max(axis=(1, 2))}
    for label, settings in losses.items():
        found |= _steps(networks, batches, label, settings)
    return found


def _steps(
    networks: Pyramids, batches: Sequence[np.ndarray], label: str, settings: LossSettings
) -> dict[str, np.ndarray]:
    teacher, student = copy.deepcopy(networks)
    student.train()
    optimiser = torch.optim.SGD(
        student.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
    )
    found: dict[str, np.ndarray] = {}
    parts = []
    for index, batch in enumerate(batches):
        x = _input(networks, batch)
        with torch.no_grad():
            targets = teacher(x)
        losses = total_loss(targets, student(x), settings)
        optimiser.zero_grad()
        losses[0].backward()
        if index == 0:
            for name, parameter in _trained(student):
                found[f"gradient/{label}/{name}"] = parameter.grad.numpy(force=True).copy()
        optimiser.step()
        parts.append([each.detach() for each in losses])
    found |= _named(f"steps/{label}", LOSS_PARTS, torch.tensor(parts).T)
    before = dict(networks.student.named_parameters())
    for name, parameter in _trained(student):
        found[f"steps/{label}/update/{name}"] = (parameter - before[name]).numpy(force=True)
    for name, buffer in student.named_buffers():
        if not name.endswith("num_batches_tracked") and not name.startswith("layer4."):
            found[f"steps/{label}/statistics/{name}"] = buffer.numpy(force=True)
    return found


def _trained(student: Teacher):
    """Parameters that a step reaches: layer4 and fc are never run."""
    for name, parameter in student.named_parameters():
        if not name.startswith(("layer4.", "fc.")):
            yield name, parameter


def _input(networks: Pyramids, images: np.ndarray):
    parameter = next(networks.teacher.parameters())
    return normalise(torch.from_numpy(images), parameter.dtype)


def _named(prefix: str, names: Sequence[str], tensors) -> dict[str, np.ndarray]:
    return {
        f"{prefix}/{name}": tensor.numpy(force=True)
        for name, tensor in zip(names, tensors, strict=True)
    }
