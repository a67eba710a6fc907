"""A learnt centre of the embeddings: the method of docs/guide_python.md, for runs.

Such a run has no checkpoints: a stopped one starts again.
"""

from pathlib import Path
from typing import Any

import flax.linen as nn
import optax

from rdvar_jax import RDVarLoss, ReverseDistillation, fit, score
from rdvar_jax.models.reverse_distillation import IMAGENET
from rdvar_jax.models.student import Decoder, OneClassBottleneck, Student
from rdvar_jax.runs.config import Config
from rdvar_jax.runs.recipe import Recipe
from reproduction.trained import Trained

WEIGHT = 0.1


class CentredStudent(Student):
    """Returns its embedding and the centre after the three maps."""

    @nn.compact
    def __call__(self, x, train: bool):
        shape = (self.architecture, self.stem_width, self.axis_name)
        embedding = OneClassBottleneck(*shape, name="ocbe")(x, train)
        centre = self.param("centre", nn.initializers.normal(1.0), embedding.shape[-1:])
        return *Decoder(*shape, name="decoder")(embedding, train), embedding, centre


class Centred(ReverseDistillation):
    """Reverse distillation whose student also learns a centre."""

    network = CentredStudent


def make_loss(rdvar_loss: RDVarLoss):
    """Makes the loss L + WEIGHT (1 - cos(mean embedding, centre))."""

    def drawn_to_centre(teacher_features, student_features, axis_name):
        loss, parts = rdvar_loss(teacher_features, student_features, axis_name)
        *_, embedding, centre = student_features
        vectors = embedding.mean(axis=(1, 2))
        distance = optax.losses.cosine_distance(vectors, centre[None], epsilon=1e-6).mean()
        return loss + WEIGHT * distance, {**parts, "loss_centre": distance}

    return drawn_to_centre


def train(config: Config, folder: Path) -> Trained:
    """Trains on a config's category; `folder` stays empty."""
    del folder
    recipe = Recipe.for_evaluation(config)
    settings = config.train
    model = Centred(
        recipe.architecture,
        weights=config.teacher.weights or IMAGENET,
        stem_width=recipe.stem_width,
    )
    images = recipe.load_train(in_memory=True)
    fitted = fit(
        model,
        images,
        loss=make_loss(recipe.loss),
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        seed=settings.seed,
        learning_rate=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        precision=config.compute.precision,
        devices=list(recipe.parallel.devices),
        mode=config.parallel.mode,
        cache_features=settings.cache_features,
        cache_budget_gb=settings.cache_budget_gb,
        progress=False,
    )
    options: Any = {
        "batch_size": config.score.batch_size,
        "sigma": config.score.sigma,
        "precision": config.compute.precision,
        "pooling": config.score.pooling,
        "devices": list(recipe.parallel.devices),
    }

    def first_features(test_images):
        found = fitted.model.features(test_images, precision=config.compute.precision)
        return found.teacher[0], found.student[0]

    return Trained(
        score=lambda test_images: score(fitted, test_images, **options),
        first_features=first_features,
        epochs=fitted.losses,
        step=int(fitted.state.step),
        epoch=settings.epochs,
        seconds_per_step=None,
    )
