"""Real networks on real images: slow, and what the README claims."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from rdvar_jax.data.loading.arrays import load_train
from rdvar_jax.data.sets.folder import find_category
from rdvar_jax.devices.parallel import AXIS_NAME, Parallel
from rdvar_jax.models.build import build_student, build_teacher, feature_shapes, image_shape
from rdvar_jax.models.initialise import init_variables
from rdvar_jax.training.losses import RDVarLoss
from rdvar_jax.training.step import build_optimiser, init_state, make_train_step

REPOSITORY = Path(__file__).resolve().parents[1]

pytestmark = [pytest.mark.slow, pytest.mark.real_data]


def rdvar(*args):
    """The program as users run it: with XLA's optimisations."""
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    environment["JAX_COMPILATION_CACHE_DIR"] = str(REPOSITORY / ".cache" / "xla-full-size")
    command = [sys.executable, "-m", "rdvar_jax", *map(str, args)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("lambda_var", [pytest.param(0.0, marks=pytest.mark.nightly), 0.1])
def test_leather_tiles_with_resnet18(shared, tmp_path, lambda_var):
    rdvar(
        "train",
        "--config",
        f"{REPOSITORY / 'configs' / 'mvtec_resnet18.py'}:leather_tiles",
        f"--config.data.root={shared / 'data' / 'mvtec_256'}",
        f"--config.teacher.weights={shared / 'weights/resnet18_imagenet_conv1_to_layer3.pth'}",
        "--config.data.image_size=128",
        "--config.train.epochs=80",
        f"--config.loss.lambda_var={lambda_var}",
        "--workdir",
        tmp_path,
    )
    rdvar("evaluate", "--workdir", tmp_path)
    metrics = json.loads((tmp_path / "results.json").read_text())["metrics"]
    assert metrics["image_auroc"] >= 0.90
    assert metrics["pixel_auroc"] >= 0.965
    lines = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    losses = [line["loss_model"] for line in lines if line["kind"] == "epoch"]
    assert losses[-1] < 0.25 < 1.0 < losses[0]


def test_wide_resnet50_takes_two_real_steps(shared):
    """The paper's network at full width, 256 px, batch 16: random weights, real images."""
    arch, size = "wide_resnet50_2", 256
    teacher, student = build_teacher(arch, 64), build_student(arch, 64, AXIS_NAME)
    teacher_variables = init_variables(teacher, image_shape(size), seed=0)
    student_variables = init_variables(student, feature_shapes(arch, 64, size), seed=0, train=False)

    def millions(tree):
        return round(sum(x.size for x in jax.tree.leaves(tree)) / 1e6, 2)

    assert millions(teacher_variables["params"]) == 24.86
    assert millions(student_variables["params"]["ocbe"]) == 58.89
    assert millions(student_variables["params"]["decoder"]) == 24.92

    images = load_train(find_category(shared / "data" / "mvtec_256", "leather_tiles"), size).images
    parallel = Parallel("pmap", (jax.local_devices()[0],))
    tx = build_optimiser(0.005, 0.5, 0.999)
    step = parallel.wrap(
        make_train_step(teacher, student, RDVarLoss(), tx),
        split=(False, False, False, True),
        split_output=False,
        donate_argnums=(0,),
    )
    state = parallel.replicate(init_state(student_variables, tx))
    args = parallel.replicate((teacher_variables, images))
    losses = []
    for start in (0, 16):
        indices = parallel.shard_batch(np.arange(start, start + 16, dtype=np.int32))
        state, metrics = step(state, *args, indices)
        losses.append({name: float(value) for name, value in metrics.items()})
    assert int(state.step) == 2
    assert losses[1]["loss"] < losses[0]["loss"] < 3.5
    assert all(np.isfinite(list(loss.values())).all() for loss in losses)
    print(losses)
