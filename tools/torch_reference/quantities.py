"""Quantities compared between the two implementations, computed in torch.

Quantities are numpy arrays under flat names, in torch's names and layouts:

- `teacher/layer1`, ...: the teacher's features of the first batch.
- `embedding/eval`, `embedding/train`: with running statistics, and with the batch's.
- `decoder/eval/d1`, ..., `decoder/train/d1`, ...: the decoder's features.
- `unblurred`, `maps`, `scores`: of the first batch, with running statistics.
- `loss/L/loss`, `.../loss_model`, `.../loss_var`: under loss settings L, on the first batch.
- `feature_gradient/L/d1`, ...: of L with respect to the decoder's features.
- `gradient/L/bn.conv1.weight`, ...: of L in the first train step.
- `steps/L/loss`, ...: the same in each train step, [steps].
- `steps/L/update/bn.conv1.weight`, ...: parameters after the steps minus those before.
- `steps/L/statistics/bn.bn1.running_mean`, ...: batch statistics after the steps.
"""

# torch is not among this project's dependencies, so it is absent where pyright runs.
# pyright: reportMissingImports=false

import copy
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from torch_reference import scoring
from torch_reference.losses import STAGES, LossSettings, total_loss
from torch_reference.network import Networks, normalise
from torch_reference.training import AS_PUBLISHED, Flavour, build_optimiser, make_train_step

LAYERS = ("layer1", "layer2", "layer3")
LOSS_PARTS = ("loss", "loss_model", "loss_var")


def forward_quantities(networks: Networks, images: np.ndarray) -> dict[str, np.ndarray]:
    """Features, maps and scores of uint8 images [B, S, S, 3]. Leaves the networks as they were."""
    teacher, bn, decoder = copy.deepcopy(networks)  # the batch would change the statistics
    quantities = {}
    with torch.no_grad():
        targets = teacher(_input(networks, images))
        quantities |= _named("teacher", LAYERS, targets)
        for mode in ("eval", "train"):
            bn.train(mode == "train")
            decoder.train(mode == "train")
            embedding = bn(targets)
            features = decoder(embedding)
            quantities[f"embedding/{mode}"] = embedding.numpy(force=True)
            quantities |= _named(f"decoder/{mode}", STAGES, features)
            if mode == "eval":
                unblurred = scoring.summed_maps(targets, features, images.shape[1])
        maps = scoring.blur(unblurred)
    return quantities | {"unblurred": unblurred, "maps": maps, "scores": scoring.scores(maps)}


def loss_quantities(
    networks: Networks, images: np.ndarray, losses: Mapping[str, LossSettings]
) -> dict[str, np.ndarray]:
    """Values of differently set losses on one batch, and their gradients at the features."""
    teacher, bn, decoder = copy.deepcopy(networks)
    bn.train()
    decoder.train()
    with torch.no_grad():
        targets = teacher(_input(networks, images))
        values = decoder(bn(targets))
    quantities = {}
    for label, settings in losses.items():
        features = [value.clone().requires_grad_() for value in values]
        parts = total_loss(targets, features, settings)
        parts[0].backward()
        quantities |= _named(f"loss/{label}", LOSS_PARTS, parts)
        gradients = [feature.grad for feature in features]
        quantities |= _named(f"feature_gradient/{label}", STAGES, gradients)
    return quantities


def step_quantities(
    networks: Networks,
    batches: Sequence[np.ndarray],
    losses: Mapping[str, LossSettings],
    flavour: Flavour = AS_PUBLISHED,
    num_samples: int | None = None,
) -> dict[str, np.ndarray]:
    """Results of some train steps, from the same start for each of the losses.

    Args:
        networks: the start, left as it is.
        batches: uint8 images [B, S, S, 3], one batch a step.
        losses: by label.
        flavour: how the step is run.
      num_samples: keep no more elements than this of a gradient or an update.
    """
    quantities = {}
    for label, settings in losses.items():
        trained = copy.deepcopy(networks)
        step = make_train_step(trained, build_optimiser(trained), settings, flavour)
        parts = []
        for index, batch in enumerate(batches):
            parts.append(step(torch.from_numpy(batch).to(_parameter(trained).device)))
            if index == 0:
                for name, parameter in _student(trained, "named_parameters"):
                    if parameter.grad is not None:  # conv4 and bn4 take no part
                        gradient = parameter.grad.numpy(force=True)
                        quantities[f"gradient/{label}/{name}"] = sample(gradient, num_samples)
        columns = [torch.stack(part) for part in zip(*parts, strict=True)]
        quantities |= _named(f"steps/{label}", LOSS_PARTS, columns)
        before = dict(_student(networks, "named_parameters"))
        for name, parameter in _student(trained, "named_parameters"):
            if parameter.grad is not None:
                update = (parameter - before[name]).numpy(force=True)
                quantities[f"steps/{label}/update/{name}"] = sample(update, num_samples)
        for name, buffer in _student(trained, "named_buffers"):
            if "bn4." not in name and not name.endswith("num_batches_tracked"):
                quantities[f"steps/{label}/statistics/{name}"] = buffer.numpy(force=True)
    return quantities


def sample(array: np.ndarray, count: int | None) -> np.ndarray:
    """A copy of the array, or `count` evenly spaced elements of a larger one."""
    if count is None or array.size <= count:
        return array.copy()
    return array.ravel()[np.linspace(0, array.size - 1, count).round().astype(int)]


def _student(networks: Networks, what: str) -> Iterator:
    for prefix in ("bn", "decoder"):
        for name, tensor in getattr(getattr(networks, prefix), what)():
            yield f"{prefix}.{name}", tensor


def _parameter(networks: Networks):
    return next(networks.teacher.parameters())


def _input(networks: Networks, images: np.ndarray):
    parameter = _parameter(networks)
    return normalise(torch.from_numpy(images).to(parameter.device), parameter.dtype)


def _named(prefix: str, names: Sequence[str], tensors: Sequence) -> dict[str, np.ndarray]:
    return {
        f"{prefix}/{name}": tensor.numpy(force=True)
        for name, tensor in zip(names, tensors, strict=True)
    }
