"""The reference in PyTorch, trained as published, on the batches and from the start of a run here.

Such a run has no checkpoints: a stopped one starts again.
"""

# torch is not among this project's dependencies, so it is absent where pyright runs.
# pyright: reportMissingImports=false

import os
import statistics
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import torch
from torch_reference.losses import LossSettings
from torch_reference.network import Backbone, build_networks, normalise
from torch_reference.scoring import blur, scores, summed_maps
from torch_reference.training import AS_PUBLISHED, build_optimiser, make_train_step

from rdvar_jax import ReverseDistillation
from rdvar_jax.data.loading.sampling_order import batch_indices, steps_at_epoch
from rdvar_jax.errors import ConfigError
from rdvar_jax.models.reverse_distillation import IMAGENET
from rdvar_jax.runs.config import Config
from rdvar_jax.runs.recipe import Recipe
from rdvar_jax.weights.name_map import to_torch
from rdvar_jax.weights.rd4ad import student_to_rd4ad
from reproduction.trained import Trained

FIXED = {
    "model.name": "reverse_distillation",
    "train.learning_rate": 0.005,
    "train.beta1": 0.5,
    "train.beta2": 0.999,
    "score.sigma": 4.0,
    "score.pooling": "max",
}


def train(config: Config, folder: Path) -> Trained:
    """Trains on a config's category; `folder` stays empty.

    Raises:
        ConfigError: a setting is not the reference's.
    """
    del folder
    for name, value in FIXED.items():
        section, _, key = name.partition(".")
        if config[section][key] != value:
            raise ConfigError(f"{name}={config[section][key]}: the reference has {value} only.")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    recipe = Recipe.for_evaluation(config)
    networks = start(config, recipe)
    # One image after the other in memory, as the optimised step here has them.
    images = torch.from_numpy(np.ascontiguousarray(recipe.load_train(in_memory=True).images))
    settings = config.train
    step = make_train_step(networks, build_optimiser(networks), loss_settings(config), AS_PUBLISHED)
    epochs: list[dict[str, Any]] = []
    sums, seconds = np.zeros(3), []
    first = 0
    for epoch in range(1, settings.epochs + 1):
        last = steps_at_epoch(len(images), settings.batch_size, epoch)
        for number in range(first, last):
            rows = batch_indices(len(images), settings.batch_size, settings.seed, number)
            begun = time.perf_counter()
            sums += [float(part) for part in step(images[torch.from_numpy(rows.astype(np.int64))])]
            seconds.append(time.perf_counter() - begun)
        means = sums / max(last - first, 1)
        names = ("loss", "loss_model", "loss_var")
        epochs.append({"epoch": epoch, **dict(zip(names, means.tolist(), strict=True))})
        first, sums = last, np.zeros(3)
    for network in networks:
        network.eval()
    return Trained(
        score=lambda test_images: score(networks, test_images, config.score.batch_size),
        first_features=lambda test_images: first_features(
            networks, test_images, config.score.batch_size
        ),
        epochs=epochs,
        step=first,
        epoch=settings.epochs,
        seconds_per_step=statistics.median(seconds),
    )


def start(config: Config, recipe: Recipe):
    """Builds the networks with the teacher, and the student's first values, of a run here."""
    model = ReverseDistillation(
        recipe.architecture,
        weights=config.teacher.weights or IMAGENET,
        stem_width=recipe.stem_width,
        seed=config.train.seed,
    )
    arch = recipe.architecture
    backbone = Backbone(
        arch.block == "bottleneck", (*arch.stage_blocks, 2), arch.ocbe_blocks, arch.width_factor
    )
    networks = build_networks(backbone, recipe.stem_width)
    # layer4 and fc, which published weights have, are run for nothing and keep random values.
    states = {"teacher": to_torch(model.teacher_variables)}
    states |= student_to_rd4ad(jax.device_get(model.student_variables))
    for name, state in states.items():
        network = getattr(networks, name)
        tensors = {key: torch.from_numpy(np.array(value)) for key, value in state.items()}
        unknown = set(tensors) - set(network.state_dict())
        assert not unknown, unknown
        network.load_state_dict(tensors, strict=False)
    return networks


def loss_settings(config: Config) -> LossSettings:
    """The reference's settings of a config's loss."""
    loss = config.loss
    return LossSettings(
        lambda_var=loss.lambda_var,
        stages=tuple(loss.stages),
        distance=loss.distance,
        reduction=loss.reduction,
        stop_gradient_mean=loss.stop_gradient_mean,
        distillation=loss.distillation,
    )


@torch.inference_mode()
def score(networks, images: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Maps [N, S, S] and scores [N] of square images."""
    maps = []
    for first in range(0, len(images), batch_size):
        x = normalise(torch.from_numpy(np.ascontiguousarray(images[first : first + batch_size])))
        targets = networks.teacher(x)
        features = networks.decoder(networks.bn(targets))
        maps.append(blur(summed_maps(targets, features, images.shape[1])))
    joined = np.concatenate(maps).astype(np.float32)
    return joined, scores(joined)


@torch.inference_mode()
def first_features(networks, images: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """The teacher's layer1 and D1, [N, h, w, C]."""
    found: tuple[list, list] = ([], [])
    for first in range(0, len(images), batch_size):
        x = normalise(torch.from_numpy(np.ascontiguousarray(images[first : first + batch_size])))
        targets = networks.teacher(x)
        features = networks.decoder(networks.bn(targets))
        for kept, maps in zip(found, (targets[0], features[0]), strict=True):
            kept.append(maps.permute(0, 2, 3, 1).numpy())
    teacher, student = map(np.concatenate, found)
    return teacher, student
