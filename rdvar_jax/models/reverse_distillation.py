"""`ReverseDistillation`: teacher and student with their weights."""

import os
from collections.abc import Mapping
from copy import copy
from functools import cache, cached_property
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np

from rdvar_jax.devices.compiler import compiled
from rdvar_jax.devices.parallel import AXIS_NAME
from rdvar_jax.models.build import build_teacher, image_shape, student_shapes
from rdvar_jax.models.image_size import SIZE_MULTIPLE, check_images
from rdvar_jax.models.initialise import abstract_variables, init_variables
from rdvar_jax.models.precision import compute_dtype, with_precision
from rdvar_jax.models.student import Student, StudentNetwork, student_input
from rdvar_jax.models.teacher import Teacher, normalise
from rdvar_jax.weights.architectures import IMAGENET_WIDTH, Architecture, get_architecture
from rdvar_jax.weights.demonstration import warn_if_for_demonstrations
from rdvar_jax.weights.load_teacher import load_teacher
from rdvar_jax.weights.procedural import PROCEDURAL, STEM_WIDTH
from rdvar_jax.weights.rd4ad import read_rd4ad

# Names of teacher weights: torchvision's, from the cache or a download, and untrained ones.
IMAGENET, RANDOM = "imagenet", "random"


class Features(NamedTuple):
    """Feature maps of N images: three per network, from the largest to the smallest.

    Attributes:
        teacher: outputs of layer1, layer2, layer3: float32 [N, H/4, W/4, C], [N, H/8, W/8, 2C],
          [N, H/16, W/16, 4C].
        student: the decoder's outputs D1, D2, D3, of the same shapes.
    """

    teacher: tuple[np.ndarray, ...]
    student: tuple[np.ndarray, ...]


class ReverseDistillation:
    """Frozen teacher and trainable student: bottleneck (OCBE) and decoder.

    Immutable in use: `fit` returns a new model and leaves this one unchanged.

    A subclass with another `network` is another method (`models/stfpm.py`).

    Attributes:
        network: class of the student.
        architecture: the backbone.
        stem_width: channels of the teacher's stem, C.
        teacher: its Flax module.
        student: its Flax module.
        teacher_variables: {"params", "batch_stats"}, numpy arrays.
        student_variables: the same of the student.
        teacher_source: sha256 of the teacher's weight file, or "random".
        weights: the `weights` argument; "" for a model of `from_teacher`.

    Example:
        >>> model = ReverseDistillation("resnet18", weights="random")
        >>> found = model.features(np.zeros((2, 64, 64, 3), np.uint8))
        >>> [x.shape for x in found.student]
        [(2, 16, 16, 64), (2, 8, 8, 128), (2, 4, 4, 256)]

    References:
        Deng and Li, "Anomaly Detection via Reverse Distillation from One-Class Embedding", 2022.
    """

    network: ClassVar[type[StudentNetwork]] = Student

    def __init__(
        self,
        arch: str | Architecture = "wide_resnet50_2",
        *,
        weights: str | os.PathLike[str] = IMAGENET,
        stem_width: int | None = None,
        seed: int = 0,
    ):
        """Loads the teacher and draws the student's initial values.

        Args:
            arch: name of a backbone, or a custom backbone.
            weights: of the teacher: "imagenet" (torchvision's IMAGENET1K_V1, from the cache or a
              download), "procedural" (the small one in the package, for demonstrations), "random"
              (untrained, for tests), or the path of a `.pth` or safetensors file with torchvision's
              names.
            stem_width: channels of the teacher's stem; 64 in every torchvision net.
            seed: of the student's initial values.

        Raises:
            ConfigError: there is no such backbone.
            WeightsError: the weights cannot be found, or do not fit the backbone.
        """
        architecture = get_architecture(arch)
        if stem_width is None:
            stem_width = STEM_WIDTH if weights == PROCEDURAL else IMAGENET_WIDTH
        weights = os.fspath(weights)
        teacher_variables, source, unverified = read_teacher(architecture, stem_width, weights)
        warn_if_for_demonstrations(source)
        self._set(architecture, stem_width, teacher_variables, source, seed)
        self.weights, self.teacher_unverified = weights, unverified

    @classmethod
    def from_teacher(
        cls,
        architecture: Architecture,
        stem_width: int,
        teacher_variables: Mapping[str, Any],
        teacher_source: str,
        seed: int = 0,
    ) -> "ReverseDistillation":
        """Makes a model from a loaded teacher, with an untrained student."""
        model = cls.__new__(cls)
        model._set(architecture, stem_width, teacher_variables, teacher_source, seed)
        return model

    def _set(
        self,
        architecture: Architecture,
        stem_width: int,
        teacher_variables: Mapping[str, Any],
        teacher_source: str,
        seed: int,
    ) -> None:
        self.architecture = architecture
        self.stem_width = stem_width
        self.teacher: Teacher = build_teacher(architecture, stem_width)
        self.student = self.network(architecture, stem_width, AXIS_NAME)
        self.teacher_variables = teacher_variables
        self.teacher_source = teacher_source
        self._seed = seed
        self.weights = self.teacher_unverified = ""

    @cached_property
    def student_variables(self) -> Mapping[str, Any]:
        # Drawn on first use: a resumed or imported run replaces them.
        # The variables do not depend on the image size.
        shapes = student_shapes(self.student, SIZE_MULTIPLE)
        return init_variables(self.student, shapes, seed=self._seed, train=False)

    def with_student(self, variables: Mapping[str, Any]) -> "ReverseDistillation":
        """Returns the same model with these student variables."""
        model = copy(self)
        model.student_variables = variables
        return model

    def with_new_student(self, seed: int) -> "ReverseDistillation":
        """Returns the same model with an untrained student, drawn from `seed`."""
        model = copy(self)
        model.__dict__.pop("student_variables", None)
        model._seed = seed
        return model

    def features(
        self, images: np.ndarray, *, batch_size: int = 16, precision: str = "tf32"
    ) -> Features:
        """Computes both networks' feature maps.

        Args:
            images: uint8 [N, H, W, 3] in RGB, H and W multiples of 32.
            batch_size: images per call, at most.
            precision: "float32", "tf32" or "bfloat16".
        """
        check_images(images)
        networks: Any = (self.teacher, self.student)  # hashable: Flax modules hash by fields
        compute = _make_features_fn(*networks, precision)
        batches = []
        for start in range(0, len(images), batch_size):
            batch = np.asarray(images[start : start + batch_size])
            maps = compute(self.teacher_variables, self.student_variables, batch)
            batches.append(jax.device_get(maps))
        joined = jax.tree.map(lambda *maps: np.concatenate(maps).astype(np.float32), *batches)
        return Features(*joined)


@cache
def _make_features_fn(teacher: Any, student: Any, precision: str) -> Any:
    dtype = compute_dtype(precision)

    def features(teacher_variables, student_variables, images):
        images = normalise(images, dtype)
        maps = teacher.apply(teacher_variables, images)
        seen = student_input(student, images, maps)
        return maps, student.apply(student_variables, seen, train=False)[: len(maps)]

    return compiled(with_precision(precision, features), platform=jax.default_backend())


def load_rd4ad(
    path: str | os.PathLike[str],
    arch: str | Architecture = "wide_resnet50_2",
    *,
    weights: str | os.PathLike[str] = IMAGENET,
    stem_width: int | None = None,
) -> ReverseDistillation:
    """Reads a checkpoint saved by RD4AD's PyTorch code, without torch.

    Args:
        path: the `.pth` file, `{"bn": ..., "decoder": ...}`.
        arch: backbone that it was trained with.
        weights: of the teacher; see `ReverseDistillation`.
        stem_width: channels of the teacher's stem; likewise.

    Returns:
        A model that scores as RD4AD's code does.

    Raises:
        ConfigError: there is no such backbone.
        WeightsError: the checkpoint or the teacher's weights cannot be used.

    Example:
        >>> model = load_rd4ad("wres50_bottle.pth", "wide_resnet50_2")
        >>> result = evaluate(model, load_category("mvtec/bottle").test)
    """
    model = ReverseDistillation(arch, weights=weights, stem_width=stem_width)
    shapes = student_shapes(model.student, SIZE_MULTIPLE)
    expected = abstract_variables(model.student, shapes, train=False)
    return model.with_student(read_rd4ad(path, expected).variables)


def read_teacher(
    architecture: Architecture, stem_width: int, weights: str
) -> tuple[dict[str, Any], str, str]:
    """Reads a teacher's variables.

    Args:
        architecture: the backbone.
        stem_width: channels of its stem.
        weights: see `ReverseDistillation`; "" is "imagenet".

    Returns:
        {"params", "batch_stats"} of numpy arrays, the sha256 of the file, or "random", and what is
        not known about the file (`TeacherSource.unverified`).

    Raises:
        WeightsError: see `load_teacher`.
    """
    teacher, shape = build_teacher(architecture, stem_width), image_shape(SIZE_MULTIPLE)
    if weights == RANDOM:
        return init_variables(teacher, shape, seed=0), RANDOM, ""
    variables, found = load_teacher(
        architecture.name,
        "" if weights == IMAGENET else weights,
        abstract_variables(teacher, shape),
    )
    return variables, found.sha256, found.unverified
