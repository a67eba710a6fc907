"""A row of this project: `python jax_row.py ROW ARCH BATCH`."""

# The clock starts, and settings of the process are made, before the large imports.
# ruff: noqa: E402

import sys
import time

STARTED = time.perf_counter()

from rdvar_jax.main import start_jax

start_jax()  # as `rdvar` does, before JAX is imported

import jax
import numpy as np
from serve import serve

from rdvar_jax.models.build import build_student, build_teacher, feature_shapes, image_shape
from rdvar_jax.models.fold import fold_batch_norm
from rdvar_jax.models.initialise import init_variables
from rdvar_jax.parallel import AXIS_NAME, Parallel
from rdvar_jax.scoring.score import make_score_fn
from rdvar_jax.training.features import teacher_features
from rdvar_jax.training.losses import LossSettings
from rdvar_jax.training.step import build_optimiser, init_state, make_train_step

SIZE, WIDTH, PRECISION = 256, 64, "float32"


def main(row: str, arch: str, batch: int) -> None:
    kind, *options = row.split("+")
    parallel = Parallel(
        "shard_map" if "shard_map" in options else "pmap", (jax.local_devices()[0],)
    )
    teacher, student = build_teacher(arch, WIDTH), build_student(arch, WIDTH, AXIS_NAME)
    teacher_variables = init_variables(teacher, image_shape(SIZE), seed=0)
    variables = init_variables(student, feature_shapes(arch, WIDTH, SIZE), seed=0, train=False)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch, SIZE, SIZE, 3), dtype=np.uint8)
    folded = parallel.replicate(fold_batch_norm(teacher_variables))
    if kind == "score":
        score = make_score_fn(teacher, student, SIZE, batch, parallel, precision=PRECISION)
        folded_student = parallel.replicate(fold_batch_norm(variables))
        serve(lambda: score(folded, folded_student, images), STARTED)
        return

    tx = build_optimiser(0.005, 0.5, 0.999)
    settings = LossSettings(lambda_var=0.1)
    data = parallel.replicate(images)
    if "cache" in options:
        data = teacher_features(teacher, folded, data, batch, parallel, PRECISION)
    cached = "cache" in options
    step = parallel.wrap(
        make_train_step(None if cached else teacher, student, settings, tx, PRECISION),
        split=(False, False, False, True),
        split_output=False,
        donate_argnums=(0,),
    )
    state = parallel.replicate(init_state(variables, tx))
    indices = parallel.split(np.arange(batch, dtype=np.int32))

    def train():
        nonlocal state
        state, metrics = step(state, {} if cached else folded, data, indices)
        jax.block_until_ready((state, metrics))

    serve(train, STARTED)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
