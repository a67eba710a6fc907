"""`fit`, the training function of the library, and its result, which can be saved as a run."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from rdvar_jax.data.loading.arrays import TrainSet, compute_fingerprint
from rdvar_jax.data.loading.copies import TrainedImages
from rdvar_jax.data.pixels.image_hash import hash_images
from rdvar_jax.data.pixels.set_remarks import Aspects
from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.errors import CheckpointError
from rdvar_jax.files.locks import is_free
from rdvar_jax.models.image_size import check_images
from rdvar_jax.models.methods import get_method, name_of
from rdvar_jax.models.reverse_distillation import IMAGENET, ReverseDistillation
from rdvar_jax.runs.config import Config, default_config, resolved
from rdvar_jax.runs.recipe import Recipe
from rdvar_jax.runs.run import Run
from rdvar_jax.runs.trained_images import images_of, write_trained_images
from rdvar_jax.runs.workdir import Workdir, locked_for_training, save_config
from rdvar_jax.training.fit import Trainer, first_state, student_of
from rdvar_jax.training.losses import Loss, RDVarLoss
from rdvar_jax.training.step import TrainState, zero_sums
from rdvar_jax.training.writer import MetricsWriter

DEFAULT_LOSS = RDVarLoss()


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained model.

    Attributes:
        model: teacher and trained student.
        losses: mean metrics of each epoch: "step", "epoch", "loss", those of the loss
          ("loss_model", "loss_var") and "grad_norm". For a resumed run, those of this call.
        state: the last state: parameters, batch statistics, Adam's moments.

    Example:
        >>> fitted = fit(model, parts.train, epochs=20)
        >>> [(epoch["loss_model"], epoch["loss_var"]) for epoch in fitted.losses]
        >>> features = fitted.model.features(parts.test.images)
        >>> run = fitted.save("W")
    """

    model: ReverseDistillation
    losses: list[dict[str, float]]
    state: TrainState
    _config: Config = field(repr=False)
    _loss: Loss = field(repr=False)
    _fingerprint: str = field(repr=False)
    _trained_images: TrainedImages = field(repr=False)
    _aspects: Aspects | None = field(default=None, repr=False)

    @classmethod
    def of_run(
        cls,
        run: Run,
        model: ReverseDistillation,
        state: TrainState,
        losses: list[dict[str, float]],
        train_set: TrainSet,
    ) -> "Fitted":
        """Makes the result of training in a run's folder."""
        model = model.with_student(student_of(state))
        return cls(
            model,
            losses,
            state,
            run.config,
            run.recipe.loss,
            train_set.fingerprint,
            images_of(train_set),
            train_set.aspects,
        )

    def save(self, folder: str | Path) -> Run:
        """Writes a run that `rdvar evaluate`, `threshold`, `predict` and `export` accept.

        `rdvar train` resumes it, given the same settings, if the loss is an `RDVarLoss` and the
        images came from `load_category`.

        Args:
            folder: created if missing; must be empty.

        Raises:
            CheckpointError: the folder is not empty or cannot be written.
            ConfigError: the method is of your own, so nothing could read the run.

        Example:
            >>> fitted.save("W").model().features(images)
        """
        get_method(self._config.model.name)
        workdir = Workdir(Path(folder).resolve())
        with locked_for_training(workdir):
            if not is_free(workdir.folder):
                raise CheckpointError(f"{folder} is not an empty folder; give another one.")
            return self._save(workdir)

    def _save(self, workdir: Workdir) -> Run:
        config = self._config
        devices = tuple(jax.local_devices()[:1])
        run = Run(Recipe(config, Parallel("pmap", devices)), workdir)
        model = self.model
        run.write_teacher(model.teacher_variables, model.teacher_source, model.teacher_unverified)
        teacher_sha256 = run.read_model()[1].sha256
        provenance = run.provenance(teacher_sha256, self._fingerprint, self._aspects)
        state = self.state
        if not isinstance(self._loss, RDVarLoss):
            # The epoch's sums have names that only this loss has, and the run cannot be resumed.
            state = dataclasses.replace(state, epoch_sums=zero_sums())
            provenance["own_loss"] = getattr(self._loss, "__name__", repr(self._loss))
        with MetricsWriter(run.workdir.metrics, 0) as writer:
            for line in self.losses:
                step = int(line["step"])
                writer.write("epoch", step, {k: v for k, v in line.items() if k != "step"})
            writer.sync()
        last = self.losses[-1] if self.losses else {}
        run.checkpoints.save(
            state,
            epoch=config.train.epochs,
            metrics={f"train_{k}": v for k, v in last.items() if k not in ("epoch", "step")},
            provenance=provenance,
        )
        write_trained_images(run.workdir, self._trained_images, self._fingerprint)
        save_config(run.workdir, config)  # last: without it the folder is not a run
        return run


def fit(
    model: ReverseDistillation,
    images: TrainSet | np.ndarray,
    *,
    loss: Loss = DEFAULT_LOSS,
    epochs: int = 200,
    batch_size: int = 16,
    seed: int = 0,
    learning_rate: float = 0.005,
    betas: tuple[float, float] = (0.5, 0.999),
    optimiser: Literal["adam", "sgd"] = "adam",
    weight_decay: float = 0.0,
    precision: Literal["float32", "tf32", "bfloat16"] = "tf32",
    devices: Sequence[Any] | None = None,
    mode: Literal["pmap", "shard_map"] = "pmap",
    cache_features: Literal["auto", "on", "off"] = "auto",
    cache_budget_gb: float = 4.0,
    steps_per_call: int = 1,
    progress: bool = True,
) -> Fitted:
    """Trains a new student on good images.

    The result equals that of `rdvar train` bit for bit, given the same settings and devices.

    Args:
        model: the teacher to distil. Its student is ignored: `seed` initialises a new one.
        images: good images: `load_category(...).train`, or a uint8 array [N, H, W, 3] in RGB, H
          and W multiples of 32.
        loss: an `RDVarLoss` or your own function (`Loss`).
        epochs: passes over the images.
        batch_size: images per step over all devices; a multiple of their number.
        seed: of the student's initial values and the order of the images.
        learning_rate: constant.
        betas: Adam's; the first is SGD's momentum.
        optimiser: "adam", or "sgd" as in STFPM.
        weight_decay: times the parameters, added to the gradient.
        precision: of the networks.
        devices: by default all of this process.
        mode: how one function runs on all devices.
        cache_features: compute the teacher's features of all images once and keep them; "auto" if
          they fit.
        cache_budget_gb: memory for them on each device, in 10^9 bytes.
        steps_per_call: steps per call of the device; more than 1 is for GPUs.
        progress: show a progress bar.

    Returns:
        The trained model and its losses by epoch.

    Raises:
        ConfigError: a setting cannot be used, or the loss does not return what `Loss` requires.
        Diverged: a loss or gradient is not finite.

    Example:
        >>> parts = load_category("mvtec/screw", image_size=256)
        >>> model = ReverseDistillation("wide_resnet50_2", weights="imagenet")
        >>> fitted = fit(model, parts.train, loss=RDVarLoss(lambda_var=0.1), epochs=200)
        >>> [epoch["loss"] for epoch in fitted.losses]

    References:
        The paper's section 4.1 and RD4AD's code for the defaults.
    """
    if not isinstance(images, TrainSet):
        images = TrainSet((), np.asarray(images), compute_fingerprint((), np.asarray(images)))
    check_images(images.images)
    if not images.hashes:
        images = dataclasses.replace(images, hashes=hash_images(images.images))
    config = default_config()
    height, width = images.images.shape[1:3]
    config.data.image_size = height if height == width else (height, width)
    config.data.update(images.settings)
    if isinstance(images.images, np.ndarray):  # in memory already, whatever the budget
        needed = images.images.nbytes / 1e9
        config.data.memory_budget_gb = max(config.data.memory_budget_gb, needed)
    config.model.name = name_of(model)
    config.teacher.arch = model.architecture.name
    config.teacher.stem_width = model.stem_width
    config.teacher.weights = "" if model.weights == IMAGENET else model.weights
    if isinstance(loss, RDVarLoss):
        config.loss.update(dataclasses.asdict(loss))
    config.train.update(
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        learning_rate=float(learning_rate),
        beta1=float(betas[0]),
        beta2=float(betas[1]),
        optimiser=optimiser,
        weight_decay=float(weight_decay),
        cache_features=cache_features,
        cache_budget_gb=float(cache_budget_gb),
        steps_per_call=steps_per_call,
    )
    config.compute.precision = precision
    config.parallel.mode = mode
    recipe = Recipe.for_fit(resolved(config), tuple(devices or jax.local_devices()))
    model = model.with_new_student(seed)
    schedule = recipe.schedule(len(images.images))
    computation = recipe.computation(len(images.images), model.student)
    state = first_state(model, recipe.tx, loss, recipe.parallel)
    trainer = Trainer(model, images.images, batch_size, computation, loss=loss, tx=recipe.tx)
    state, losses = trainer.fit(state, schedule, progress=progress)
    trained = model.with_student(student_of(state))
    return Fitted(
        trained,
        losses,
        state,
        recipe.config,
        loss,
        images.fingerprint,
        images_of(images),
        images.aspects,
    )
