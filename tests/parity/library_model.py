"""The quantities of `tools/torch_reference/quantities.py`, computed with this library.

Same names, and torch's names and layouts for all tensors, so that two dicts can be compared.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_files import read_golden
from student_names import part_of, student_from_torch, student_to_torch, under

import rdvar_jax.models.cosine
import rdvar_jax.models.precision
import rdvar_jax.models.teacher
import rdvar_jax.training.losses
import rdvar_jax.training.step
from rdvar_jax.devices.parallel import AXIS_NAME, Parallel
from rdvar_jax.models.build import image_shape
from rdvar_jax.models.initialise import abstract_variables
from rdvar_jax.models.student import Decoder, OneClassBottleneck, Student
from rdvar_jax.models.teacher import Teacher, normalise
from rdvar_jax.scoring.scores import make_score_step
from rdvar_jax.training.losses import STAGES, RDVarLoss
from rdvar_jax.training.step import build_optimiser, init_state, make_train_step
from rdvar_jax.weights.architectures import Architecture
from rdvar_jax.weights.name_map import to_flax
from rdvar_jax.weights.rd4ad import PARTS

LAYERS = ("layer1", "layer2", "layer3")
LOSS_PARTS = ("loss", "loss_model", "loss_var")
LEARNING_RATE, B1, B2 = 0.005, 0.5, 0.999

# The default takes twice as long to compile, for arithmetic that hardly takes any time here.
COMPILER_OPTIONS = {"xla_backend_optimization_level": "0"}


class LibraryModel:
    """The networks of one backbone with weights that came from torch.

    Args:
        architecture: the backbone.
        stem_width: channels of the teacher's stem.
        image_size: S.
        weights: arrays under `teacher.`, `bn.` and `decoder.` and torch's names, without the
            tensors that no implementation uses.
    """

    def __init__(
        self,
        architecture: Architecture,
        stem_width: int,
        image_size: int,
        weights: Mapping[str, np.ndarray],
    ):
        self.teacher = Teacher(architecture, stem_width)
        self.student = Student(architecture, stem_width, AXIS_NAME)
        self.ocbe = OneClassBottleneck(architecture, stem_width)
        self.decoder = Decoder(architecture, stem_width)
        lone_student = Student(architecture, stem_width)
        self.score_step = make_score_step(self.teacher, lone_student, image_size)
        self._forward = jax.jit(self._compute_forward, compiler_options=COMPILER_OPTIONS)

        expected = abstract_variables(self.teacher, image_shape(image_size))
        self.teacher_variables = to_flax(under(weights, "teacher"), expected, source="teacher")
        shapes = jax.eval_shape(self.teacher.apply, expected, image_shape(image_size))
        expected = abstract_variables(self.student, shapes, train=False)
        self.student_variables = student_from_torch(weights, expected)

    def forward(self, images: np.ndarray, student_variables: Any = None) -> dict[str, Any]:
        """Features, maps and scores of uint8 images [B, S, S, 3].

        Args:
            images: the batch.
            student_variables: instead of the model's own.
        """
        student_variables = student_variables or self.student_variables
        return jax.device_get(self._forward(self.teacher_variables, student_variables, images))

    def _compute_forward(self, teacher_variables, student_variables, images):
        targets = self.teacher.apply(teacher_variables, normalise(images))
        quantities = _named("teacher", LAYERS, targets)
        ocbe, decoder = (part_of(student_variables, name) for name in PARTS.values())
        for mode in ("eval", "train"):
            apply = partial(_apply, train=mode == "train")
            embedding = apply(self.ocbe, ocbe, targets)
            quantities[f"embedding/{mode}"] = _to_nchw(embedding)
            features = apply(self.decoder, decoder, embedding)
            quantities |= _named(f"decoder/{mode}", STAGES, features)
        maps, scores = self.score_step(teacher_variables, student_variables, images)
        return quantities | {"maps": maps, "scores": scores}

    def steps(
        self,
        batches: Sequence[np.ndarray],
        losses: Mapping[str, RDVarLoss],
        dtype: type = np.float32,
        keep: Callable[[np.ndarray], np.ndarray] = np.asarray,
    ) -> dict[str, Any]:
        """Runs some train steps from the same start for each of the losses.

        Args:
          batches: uint8 images [B, S, S, 3], one batch a step.
          losses: may differ in `lambda_var` alone, so that the step is compiled once.
          dtype: float32 or float64.
          keep: what to keep of a gradient or an update.
        """
        with double_precision() if dtype == np.float64 else nullcontext():
            return self._steps(batches, losses, dtype, keep)

    def _steps(self, batches, losses, dtype, keep) -> dict[str, Any]:
        settings = next(iter(losses.values()))
        tx = build_optimiser(LEARNING_RATE, B1, B2)

        def step(state, teacher_variables, data, indices, lambda_var):
            weighed = replace(settings, lambda_var=lambda_var)
            train_step = make_train_step(self.teacher, self.student, weighed, tx)
            return train_step(state, teacher_variables, data, indices)

        parallel = Parallel("pmap", tuple(jax.local_devices()[:1]))
        # No jit around it: on CPU it has compiler options of its own.
        wrapped = parallel.wrap(step, split=(False, False, False, True, False), split_output=False)
        teacher, student = parallel.replicate(
            jax.tree.map(
                lambda x: x.astype(dtype), (self.teacher_variables, self.student_variables)
            )
        )
        quantities = {}
        for label, loss in losses.items():
            assert replace(loss, lambda_var=settings.lambda_var) == settings
            # Placed as the step returns it: another placement would compile again.
            state = parallel.replicate(init_state(student, tx))
            parts = []
            for index, batch in enumerate(batches):
                indices = parallel.shard_batch(np.arange(len(batch), dtype=np.int32))
                weight = jnp.asarray(loss.lambda_var)
                state, metrics = wrapped(state, teacher, batch, indices, weight)
                parts.append([metrics[name] for name in LOSS_PARTS])
                if index == 0:
                    # Adam's first moment after one step is (1 - b1) times the gradient.
                    mu = state.opt_state[0].mu  # pyright: ignore[reportAttributeAccessIssue]
                    gradients = jax.tree.map(lambda m: np.asarray(m) / (1 - B1), mu)
                    gradients = _kept(keep, student_to_torch(gradients))
                    quantities |= _prefixed(f"gradient/{label}", gradients)
            updates = jax.tree.map(
                lambda after, before: np.asarray(after) - np.asarray(before),
                state.params,
                student["params"],
            )
            updates = _kept(keep, student_to_torch(updates))
            statistics = student_to_torch(state.batch_stats, "batch_stats")
            columns: dict[str, Any] = dict(zip(LOSS_PARTS, np.array(parts).T, strict=True))
            quantities |= _prefixed(f"steps/{label}", columns)
            quantities |= _prefixed(f"steps/{label}/update", updates)
            quantities |= _prefixed(f"steps/{label}/statistics", statistics)
        return quantities


@cache
def golden_model(arch: str) -> LibraryModel:
    """The model of a golden file, made and compiled once."""
    golden = read_golden(arch)
    size = golden.batches[0].shape[1]
    return LibraryModel(golden.architecture, golden.stem_width, size, golden.weights)


def loss_quantities(
    teacher_features: Sequence[np.ndarray],
    student_features: Sequence[np.ndarray],
    losses: Mapping[str, RDVarLoss],
) -> dict[str, Any]:
    """Values of differently set losses, and their gradients, for features [B, C, H, W]."""
    targets, features = (
        [np.moveaxis(feature, 1, 3) for feature in features]
        for features in (teacher_features, student_features)
    )

    @partial(jax.jit, compiler_options=COMPILER_OPTIONS)
    def compute(targets, features):
        quantities = {}
        for label, settings in losses.items():
            loss_fn = partial(settings, targets)
            (loss, parts), gradients = jax.value_and_grad(loss_fn, has_aux=True)(features)
            quantities |= _prefixed(f"loss/{label}", {"loss": loss, **parts})
            quantities |= _named(f"feature_gradient/{label}", STAGES, gradients)
        return quantities

    return jax.device_get(compute(targets, features))


@contextmanager
def double_precision() -> Iterator[None]:
    """Runs the library in float64, although it asks for float32 by name."""

    class Float64Numpy:
        def __getattr__(self, name: str) -> Any:
            return jnp.float64 if name == "float32" else getattr(jnp, name)

    modules = (
        rdvar_jax.models.precision,
        rdvar_jax.models.teacher,
        rdvar_jax.models.cosine,
        rdvar_jax.training.losses,
        rdvar_jax.training.step,
    )
    with pytest.MonkeyPatch.context() as patch, jax.enable_x64(True):
        for module in modules:
            patch.setattr(module, "jnp", Float64Numpy())
        yield


def _apply(module, variables, x, train: bool):
    if not train:
        return module.apply(variables, x, train=False)
    return module.apply(variables, x, train=True, mutable=["batch_stats"])[0]


def _kept(keep: Callable, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: keep(array) for name, array in arrays.items()}


def _prefixed(prefix: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def _named(prefix: str, names: Sequence[str], features: Sequence) -> dict[str, Any]:
    return {
        f"{prefix}/{name}": _to_nchw(feature) for name, feature in zip(names, features, strict=True)
    }


def _to_nchw(feature):
    return jnp.moveaxis(feature, 3, 1)
