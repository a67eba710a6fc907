"""Dtypes under each precision, and closeness of the results."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.models.precision import PRECISIONS
from rdvar_jax.scoring.scores import make_score_step
from rdvar_jax.training.losses import RDVarLoss
from rdvar_jax.training.step import build_optimiser, init_state, make_gradient_fn, make_train_step


def products(fn, *args):
    """(input dtypes, precision) of every convolution and matrix product of `fn`.

    Not of a vector with itself: the gradients' norm is in float32.
    """
    found = set()

    def walk(jaxpr):
        for equation in jaxpr.eqns:
            of_vectors = all(len(variable.aval.shape) == 1 for variable in equation.invars)
            if (
                equation.primitive.name in ("conv_general_dilated", "dot_general")
                and not of_vectors
            ):
                types = {str(variable.aval.dtype) for variable in equation.invars}
                found.add((*sorted(types), str(equation.params["precision"])))
            for value in equation.params.values():
                inner = getattr(value, "jaxpr", value)  # of a closed one
                if hasattr(inner, "eqns"):
                    walk(inner)

    walk(fn.trace(*args).jaxpr.jaxpr)
    return found


def make_wrapped(tiny, precision):
    """The gradient function on one device, and its arguments."""
    parallel = Parallel("shard_map", (jax.local_devices()[0],))
    fn = parallel.wrap(
        make_gradient_fn(tiny.teacher, tiny.student, RDVarLoss(), precision),
        split=(False, False, False, True),
        split_output=False,
    )
    student = tiny.student_variables
    variables = student["params"], student["batch_stats"], tiny.teacher_variables
    return fn, (*parallel.replicate(variables), parallel.shard_batch(tiny.images))


def test_products_are_computed_as_the_precision_says(tiny):
    for precision, expected in (("bfloat16", "bfloat16"), ("tf32", "float32"), ("float32",) * 2):
        fn, args = make_wrapped(tiny, precision)
        found = products(fn, *args)
        assert len(found) > 0
        assert {item[0] for item in found} == {expected}, precision
        assert all(("HIGHEST" in item[-1]) == (precision == "float32") for item in found)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_parameters_statistics_and_losses_are_float32(tiny, precision):
    tx = build_optimiser(0.005, 0.5, 0.999)
    parallel = Parallel("shard_map", (jax.local_devices()[0],))
    step = parallel.wrap(
        make_train_step(tiny.teacher, tiny.student, RDVarLoss(), tx, precision),
        split=(False, False, False, True),
        split_output=False,
    )
    state = jax.eval_shape(lambda v: init_state(v, tx), tiny.student_variables)
    indices = jax.ShapeDtypeStruct((8,), jnp.int32)
    state, metrics = step.eval_shape(state, tiny.teacher_variables, tiny.images, indices)
    floats = [x for x in jax.tree.leaves((state, metrics)) if x.dtype != jnp.int32]
    assert {x.dtype for x in floats} == {jnp.dtype(jnp.float32)}


def test_bfloat16_gradients_and_losses_are_close_to_float32s(tiny):
    results = []
    for precision in ("float32", "bfloat16"):
        fn, args = make_wrapped(tiny, precision)
        results.append(fn(*args))
    (right, _, right_metrics), (gradients, _, metrics) = results
    for name in ("loss", "loss_model"):
        np.testing.assert_allclose(metrics[name], right_metrics[name], rtol=0.01)
    a, b = (np.concatenate([np.ravel(x) for x in jax.tree.leaves(g)]) for g in (gradients, right))
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert 0.95 < cosine < 1 - 1e-7  # close, but not equal: it is computed in another dtype


def test_bfloat16_maps_are_float32_and_close(tiny):
    maps = {}
    for precision in ("float32", "bfloat16"):
        step = make_score_step(tiny.teacher, tiny.student, tiny.SIZE, 1.0, precision)
        maps[precision], scores = jax.jit(step)(
            tiny.teacher_variables, tiny.student_variables, tiny.images
        )
        assert maps[precision].dtype == scores.dtype == jnp.float32
    assert 0 < np.abs(maps["bfloat16"] - maps["float32"]).max() < 0.05
