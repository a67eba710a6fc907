"""The same raw score from evaluation, prediction, a bundle and ONNX Runtime, on real images."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from rdvar_process import REPOSITORY
from test_predict import read_scores

from rdvar_jax import Detector
from rdvar_jax.data.pixels.decode import decode_image

pytestmark = [pytest.mark.slow, pytest.mark.real_data]


def rdvar(*args):
    """The program as users run it: with XLA's optimisations."""
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    environment["JAX_COMPILATION_CACHE_DIR"] = str(REPOSITORY / ".cache" / "xla-full-size")
    command = [sys.executable, "-m", "rdvar_jax", *map(str, args)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module", params=["screw", "leather_tiles"])
def run(request, shared, tmp_path_factory) -> tuple[Path, Path]:
    """A run with its scores of the test set, and the category's folder."""
    workdir = tmp_path_factory.mktemp("same_score") / "run"
    root = shared / "data" / "mvtec_256"
    rdvar(
        "train",
        "--config",
        f"{REPOSITORY / 'configs' / 'mvtec_resnet18.py'}:{request.param}",
        f"--config.data.root={root}",
        f"--config.teacher.weights={shared / 'weights/resnet18_imagenet_conv1_to_layer3.pth'}",
        "--config.data.image_size=64",
        "--config.train.epochs=2",
        "--workdir",
        workdir,
    )
    rdvar("evaluate", "--workdir", workdir)
    return workdir, root / request.param


def test_all_ways_give_the_same_score(run, tmp_path):
    workdir, category = run
    expected = read_scores(workdir / "scores.csv")
    images = [category / name for name in expected]
    evaluated = np.array(list(expected.values()))
    assert len(evaluated) > 50 and np.ptp(evaluated) > 0.1 * evaluated.max()

    scores = {}
    rdvar("export", "--workdir", workdir, "--output", tmp_path / "part.rdvar")
    rdvar("export", "--workdir", workdir, "--output", tmp_path / "part.onnx", "--format", "onnx")
    session = onnxruntime.InferenceSession(tmp_path / "part.onnx")
    pixels = np.stack([decode_image(path, 64) for path in images])
    for batch in (1, 7):
        output = tmp_path / f"predicted_{batch}"
        options = (f"--config.score.batch_size={batch}", "--noheat_maps", "--output", output)
        rdvar("predict", "--workdir", workdir, "--input", category / "test", *options)
        predicted = read_scores(output / "scores.csv")
        scores["predict", batch] = [predicted[name.removeprefix("test/")] for name in expected]
        detector = Detector.load(tmp_path / "part.rdvar", batch_size=batch)
        scores["bundle", batch] = detector.predict(images).scores
        scores["onnx", batch] = np.concatenate(
            [
                session.run(["scores"], {"images": pixels[start : start + batch]})[0]
                for start in range(0, len(pixels), batch)
            ]
        )
    worst = {
        way: float(np.max(np.abs(np.array(found) / evaluated - 1))) for way, found in scores.items()
    }
    print(category.name, len(evaluated), "images, largest relative differences:", worst)
    assert max(worst.values()) < 1e-5, worst
