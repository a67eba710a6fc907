"""Folded networks against the original ones, at random batch statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdvar_jax.models.build import build_student, build_teacher, feature_shapes, image_shape
from rdvar_jax.models.fold import fold_batch_norm
from rdvar_jax.models.initialise import init_variables

WIDTH, SIZE = 4, 32


def randomised(variables):
    """Statistics and factors far from 0 and 1: with those, much would go unseen."""
    rng = np.random.default_rng(0)

    def change(path, leaf):
        name = path[-1].key
        if name in ("scale", "var"):
            return rng.uniform(0.3, 2, leaf.shape).astype(np.float32)
        if name in ("bias", "mean"):
            return rng.normal(0, 0.5, leaf.shape).astype(np.float32)
        return leaf

    return jax.tree_util.tree_map_with_path(change, variables)


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_folded_networks_give_the_same_features(arch):
    teacher, student = build_teacher(arch, WIDTH), build_student(arch, WIDTH)
    shapes = feature_shapes(arch, WIDTH, SIZE)
    teacher_variables = randomised(init_variables(teacher, image_shape(SIZE), seed=0))
    student_variables = randomised(init_variables(student, shapes, seed=1, train=False))
    image = np.random.default_rng(1).standard_normal((2, SIZE, SIZE, 3)).astype(np.float32)

    targets = teacher.apply(teacher_variables, image)
    features = student.apply(student_variables, targets, train=False)
    folded_targets = teacher.apply(fold_batch_norm(teacher_variables), image)
    folded_features = student.apply(fold_batch_norm(student_variables), targets, train=False)
    for folded, right in zip(
        (*folded_targets, *folded_features), (*targets, *features), strict=True
    ):
        assert float(jnp.abs(right).max()) > 0
        np.testing.assert_allclose(folded, right, atol=1e-5 * float(jnp.abs(right).max()))


def test_folded_variables_hold_kernels_and_biases_only():
    student = build_student("resnet18", WIDTH)
    variables = init_variables(
        student, feature_shapes("resnet18", WIDTH, SIZE), seed=0, train=False
    )
    folded = fold_batch_norm(variables)
    names = {path[-1].key for path, _ in jax.tree_util.tree_leaves_with_path(folded)}
    assert set(folded) == {"params"} and names == {"kernel", "bias"}
    kept = jax.tree.leaves(variables["params"])
    assert len(jax.tree.leaves(folded)) == len([x for x in kept if x.ndim == 4]) * 2


def test_folded_variables_cannot_be_trained():
    student = build_student("resnet18", WIDTH)
    shapes = feature_shapes("resnet18", WIDTH, SIZE)
    variables = fold_batch_norm(init_variables(student, shapes, seed=0, train=False))
    features = [jnp.zeros(shape.shape) for shape in shapes]
    with pytest.raises(AssertionError, match="folded"):
        student.apply(variables, features, train=True, mutable=["batch_stats"])
