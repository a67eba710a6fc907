"""The train step: pure, written for one device's shard of the batch."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rdvar_jax.devices.parallel import AXIS_NAME, as_varying, made_once
from rdvar_jax.errors import ConfigError
from rdvar_jax.models.precision import compute_dtype, with_precision
from rdvar_jax.models.student import StudentNetwork, student_input
from rdvar_jax.models.teacher import Teacher, normalise
from rdvar_jax.training.losses import Loss

if TYPE_CHECKING:  # scoring needs this module, but no optimiser
    import optax

Optimiser: TypeAlias = "optax.GradientTransformation"

# Of RDVarLoss; a custom loss has its own names (`metric_names`).
METRICS = ("loss", "loss_model", "loss_var", "grad_norm")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """Everything that changes in training, and so everything that a checkpoint holds.

    Attributes:
        step: number of completed steps, int32 scalar.
        params: the student's parameters.
        batch_stats: the student's running batch statistics.
        opt_state: the optimiser's: Adam's moments, or SGD's momentum.
        epoch_sums: sum of each metric over the steps of the current epoch, and "count".
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    epoch_sums: dict[str, jax.Array]


@made_once
def build_optimiser(
    learning_rate: float, b1: float, b2: float, name: str = "adam", weight_decay: float = 0.0
) -> Optimiser:
    """Returns an optimiser with a constant learning rate.

    Args:
        learning_rate: RD4AD: 0.005.
        b1: Adam's, 0.5 in RD4AD; SGD's momentum.
        b2: Adam's, 0.999 in RD4AD.
        name: "adam" or "sgd", as in torch.
        weight_decay: times the parameters, added to the gradient, as in torch.
    """
    import optax

    if name == "adam":
        optimiser = optax.adam(learning_rate, b1=b1, b2=b2, eps=1e-8)
    else:
        optimiser = optax.sgd(learning_rate, momentum=b1)
    if weight_decay == 0:
        return optimiser
    return optax.chain(optax.add_decayed_weights(weight_decay), optimiser)


def init_state(
    student_variables: dict[str, Any],
    tx: Optimiser,
    metrics: Iterable[str] = METRICS,
) -> TrainState:
    """Returns the state before the first step, with sums of the named metrics.

    Adam's state begins with zeros. `tx.init` makes each on a device, by a program for each shape.
    """
    params = student_variables["params"]
    moments = jax.eval_shape(tx.init, params)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=student_variables["batch_stats"],
        opt_state=jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), moments),
        epoch_sums=zero_sums(metrics),
    )


def zero_sums(metrics: Iterable[str] = METRICS) -> dict[str, jax.Array]:
    """Returns the epoch sums at the start of an epoch."""
    return {name: jnp.zeros((), jnp.float32) for name in (*metrics, "count")}


def metric_names(
    loss: Loss,
    feature_shapes: Sequence[jax.ShapeDtypeStruct],
    student_shapes: Sequence[jax.ShapeDtypeStruct],
) -> tuple[str, ...]:
    """Returns the names of the metrics of a step with this loss.

    Args:
        loss: the training loss.
        feature_shapes: the teacher's three maps of any number of images, [B, H, W, C].
        student_shapes: what the student returns for them.

    Raises:
        ConfigError: the loss does not return a scalar and named scalars.
    """

    def batch_loss(teacher_features, student_features):
        return loss(teacher_features, student_features, AXIS_NAME)

    maps = [
        [jax.ShapeDtypeStruct((1, *shape.shape), shape.dtype) for shape in shapes]
        for shapes in (feature_shapes, student_shapes)
    ]
    returned = jax.eval_shape(jax.vmap(batch_loss, axis_name=AXIS_NAME), *maps)
    name = getattr(loss, "__name__", repr(loss))
    is_pair = isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[1], dict)
    if not is_pair or any(getattr(x, "shape", None) != (1,) for x in jax.tree.leaves(returned)):
        raise ConfigError(
            f"the loss {name} must return a scalar and a dict of scalars by name, such as "
            '(total, {"loss_model": total}); see rdvar_jax.Loss.'
        )
    taken = {"loss", "grad_norm", "count"} & set(returned[1])
    if taken:
        raise ConfigError(
            f"the loss {name} uses the reserved name {taken.pop()!r}; give its scalar another name."
        )
    return ("loss", *returned[1], "grad_norm")


@made_once
def make_gradient_fn(
    teacher: Teacher | None, student: StudentNetwork, loss: Loss, precision: str = "tf32"
) -> Callable:
    """Makes (params, batch_stats, teacher_variables, images) -> (gradients, batch_stats, metrics).

    `images` is one device's shard, uint8 [b, H, W, 3]. Where `teacher` is None, it is the teacher's
    three maps of the shard, or for a student that sees images both, (images, maps), and
    `teacher_variables` are ignored. Gradients, statistics and metrics
    are those of the global batch and equal on every device. The teacher's variables are constants:
    no gradient is computed with respect to them or to its activations.
    """
    dtype = compute_dtype(precision)

    def gradient_fn(params, batch_stats, teacher_variables, images):
        if teacher is not None:
            images = normalise(images, dtype)
            maps = teacher.apply(teacher_variables, images)
        elif student.sees_images:
            pixels, maps = images
            images = normalise(pixels, dtype)
        else:
            maps = images
        targets = lax.stop_gradient(maps)
        seen = student_input(student, images, targets)

        def loss_fn(params):
            features, updates = student.apply(
                {"params": params, "batch_stats": batch_stats},
                seen,
                train=True,
                mutable=["batch_stats"],
            )
            # Each term of the loss reads the features. Without the barrier XLA on CPU computes the
            # last layers' normalisations and sums anew for every one of them.
            total, parts = loss(targets, lax.optimization_barrier(features), AXIS_NAME)
            return total, (updates["batch_stats"], {"loss": total, **parts})

        gradients, (batch_stats, parts) = jax.grad(loss_fn, has_aux=True)(as_varying(params))
        gradients, parts = lax.pmean((gradients, parts), AXIS_NAME)
        return gradients, batch_stats, {**parts, "grad_norm": _norm(gradients)}

    return with_precision(precision, gradient_fn)


def _norm(tree):
    # As products of a vector with itself: XLA's sums over whole kernels take five times as long on
    # CPU, where they also keep the squares as an array.
    leaves = [leaf.ravel() for leaf in jax.tree.leaves(tree)]
    return jnp.sqrt(sum(jnp.vdot(leaf, leaf, precision="highest") for leaf in leaves))


@made_once
def make_train_step(
    teacher: Teacher | None,
    student: StudentNetwork,
    loss: Loss,
    tx: Optimiser,
    precision: str = "tf32",
) -> Callable:
    """Makes (state, teacher_variables, data, indices) -> (state, metrics).

    `data` is the whole training set, uint8 [N, H, W, 3], on every device, or where `teacher` is
    None its features from `teacher_features`, or both (`make_gradient_fn`); `indices` is one
    device's shard of the batch, int32 [b]. Wrapped, the state is donated: the input state must not
    be used again. `metrics` has one scalar for each of `metric_names`.
    """
    update = make_streamed_step(teacher, student, loss, tx, precision)

    def train_step(state: TrainState, teacher_variables, data, indices):
        images = jax.tree.map(lambda x: x.at[indices].get(mode="promise_in_bounds"), data)
        return update(state, teacher_variables, images)

    return train_step


@made_once
def make_streamed_step(
    teacher: Teacher | None,
    student: StudentNetwork,
    loss: Loss,
    tx: Optimiser,
    precision: str = "tf32",
) -> Callable:
    """Makes (state, teacher_variables, images) -> (state, metrics).

    The same step as `make_train_step`'s for a training set that is not on the devices: `images` is
    one device's shard of the batch, as in `make_gradient_fn`.
    """
    import optax

    gradient_fn = make_gradient_fn(teacher, student, loss, precision)

    def train_step(state: TrainState, teacher_variables, images):
        gradients, batch_stats, metrics = gradient_fn(
            state.params, state.batch_stats, teacher_variables, images
        )
        # optax raises a float to an integer power, which strict dtype promotion rejects.
        with jax.numpy_dtype_promotion("standard"):
            updates, opt_state = tx.update(gradients, state.opt_state, state.params)
        sums = {name: state.epoch_sums[name] + metrics[name] for name in metrics}
        state = replace(
            state,
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            batch_stats=batch_stats,
            opt_state=opt_state,
            epoch_sums={**sums, "count": state.epoch_sums["count"] + 1},
        )
        return state, metrics

    return train_step


@made_once
def make_several_steps(train_step: Callable) -> Callable:
    """Makes (state, teacher_variables, data, indices) -> (state, metrics) of K steps in one call.

    `train_step` is that of `make_train_step`; `indices` is one device's shard of K batches, int32
    [b, K], and each metric is [K]. One call instead of K saves the dispatch that bounds small steps
    on a GPU. On CPU a loop makes convolution gradients many times slower.
    """

    def several_steps(state: TrainState, teacher_variables, data, indices):
        return lax.scan(
            lambda state, batch: train_step(state, teacher_variables, data, batch),
            state,
            indices.T,
        )

    return several_steps
