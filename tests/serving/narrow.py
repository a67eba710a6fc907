"""Narrow networks with odd batch statistics, and evaluation's scores of images with them."""

import jax
import numpy as np

from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.models.build import build_teacher, image_shape, student_shapes
from rdvar_jax.models.initialise import init_variables
from rdvar_jax.models.student import Student, StudentNetwork
from rdvar_jax.scoring.maps import SIGMA
from rdvar_jax.scoring.scores import make_score_fn
from rdvar_jax.weights.architectures import get_architecture

THRESHOLD = 0.5


def with_statistics(variables: dict, seed: int) -> dict:
    """The variables with batch normalisations that are not the identity."""
    rng = np.random.default_rng(seed)
    ranges = {"scale": (0.5, 1.5), "bias": (-0.3, 0.3), "mean": (-0.3, 0.3), "var": (0.5, 2.0)}

    def draw(path, leaf):
        if (name := path[-1].key) not in ranges:
            return leaf
        return rng.uniform(*ranges[name], leaf.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, variables)


def narrow(
    arch: str,
    width: int,
    size: int | tuple[int, int],
    network: type[StudentNetwork] = Student,
):
    """Teacher, student and their variables, of one of the five backbones."""
    teacher, student = build_teacher(arch, width), network(get_architecture(arch), width)
    shapes = student_shapes(student, size)
    return (
        teacher,
        student,
        with_statistics(init_variables(teacher, image_shape(size), seed=1), 3),
        with_statistics(init_variables(student, shapes, seed=2, train=False), 4),
    )


def scored(teacher, student, teacher_variables, student_variables, images, sigma=SIGMA):
    """Maps and scores as evaluation computes them."""
    parallel = Parallel("pmap", (jax.local_devices()[0],))
    score = make_score_fn(teacher, student, images.shape[1:3], len(images), parallel, sigma)
    return score(teacher_variables, student_variables, images)
