"""A bundle in an environment with only what a plain `pip install rdvar-jax` installs."""

import csv
import json
import os
import shutil
import subprocess
import venv
from pathlib import Path

import numpy as np
import pytest
from narrow import narrow, scored
from PIL import Image

from rdvar_jax.scoring.maps import SIGMA
from rdvar_jax.serving.onnx_network import build_onnx
from rdvar_jax.serving.program import folded_weights

REPOSITORY = Path(__file__).resolve().parents[2]

USE = """
import sys
import numpy as np
from rdvar_jax import Detector
bundle, images, output = sys.argv[1:]
found = Detector.load(bundle).predict(np.load(images))
np.savez(output, maps=found.maps, scores=found.scores, verdicts=found.verdicts)
"""


def call(*command, **options) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "XLA_FLAGS")}
    done = subprocess.run(
        [str(part) for part in command], env=environment, capture_output=True, text=True, **options
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """The interpreter of a new environment with what a plain `pip install rdvar-jax` gives."""
    folder = tmp_path_factory.mktemp("light")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    # A copy, because building leaves files beside the sources.
    shutil.copytree(REPOSITORY / "rdvar_jax", folder / "source" / "rdvar_jax")
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(REPOSITORY / name, folder / "source")
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    constraints = REPOSITORY / "constraints.txt"
    call(*pip, "--constraint", constraints, folder / "source")
    return python


@pytest.mark.slow
def test_a_bundle_scores_there(python, bundle, odd, expected, tmp_path):
    listed = json.loads(call(python, "-m", "pip", "list", "--format", "json"))
    assert {entry["name"].lower().replace("_", "-") for entry in listed} <= {
        "rdvar-jax",
        "jax",
        "numpy",
        "pillow",
        "flatbuffers",
        "safetensors",
        "filelock",
        "jinja2",
        # Required by jinja2.
        "markupsafe",
        # Required by jax itself.
        "jaxlib",
        "ml-dtypes",
        "opt-einsum",
        "scipy",
        # Of the environment.
        "pip",
        "setuptools",
    }
    np.save(tmp_path / "images.npy", odd.images)
    call(python, "-W", "error", "-c", USE, bundle, tmp_path / "images.npy", tmp_path / "out.npz")
    found = np.load(tmp_path / "out.npz")
    maps, scores = expected
    np.testing.assert_allclose(found["maps"], maps, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["scores"], scores, rtol=1e-5)
    assert found["verdicts"].shape == (8,)


@pytest.mark.slow
def test_the_command_scores_a_folder_there(python, bundle, odd, expected, tmp_path):
    photos = tmp_path / "photos"
    (photos / "größe").mkdir(parents=True)
    for index, pixels in enumerate(odd.images):
        Image.fromarray(pixels).save(photos / "größe" / f"{index} ü.png")
    rdvar = python.with_name("rdvar")
    said = call(rdvar, "predict", "--bundle", bundle, "photos", cwd=tmp_path)
    output = tmp_path / "photos-verdicts"
    assert said.startswith("8 images: ") and said.endswith("Open photos-verdicts/index.html\n")
    with (output / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_allclose([float(row["score"]) for row in rows], expected[1], rtol=1e-5)
    for kind, ending in (
        ("overlays", "png"),
        ("heat_maps", "png"),
        ("thumbnails/heat", "jpg"),
        ("thumbnails/plain", "jpg"),
    ):
        names = {path.name for path in (output / kind / "größe").iterdir()}
        assert names == {f"{index} ü.{ending}" for index in range(8)}
    page = (output / "index.html").read_text(encoding="utf-8")
    assert page.count("<figure") == 8 and "Bundle part.rdvar" in page


@pytest.mark.slow
def test_an_onnx_file_scores_there_with_its_runtime(python, odd, tmp_path):
    networks = narrow("resnet18", 4, 32)
    manifest = {
        "image": {"geometry": "squash", "height": 32, "width": 32},
        "threshold": {"threshold": 0.5},
    }
    properties = {"rdvar": json.dumps(manifest)}
    model = build_onnx("resnet18", folded_weights(*networks[2:]), 32, SIGMA, properties)
    (tmp_path / "part.onnx").write_bytes(model)
    np.save(tmp_path / "images.npy", odd.images)
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    constraints = REPOSITORY / "constraints.txt"
    call(*pip, "--constraint", constraints, "--target", tmp_path / "more", "onnxruntime")
    with_runtime = f"import sys; sys.path.append({str(tmp_path / 'more')!r})\n{USE}"
    files = tmp_path / "part.onnx", tmp_path / "images.npy", tmp_path / "out.npz"
    call(python, "-W", "error", "-c", with_runtime, *files)
    found = np.load(tmp_path / "out.npz")
    maps, scores = scored(*networks, odd.images)
    np.testing.assert_allclose(found["maps"], maps, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["scores"], scores, rtol=1e-5)


@pytest.mark.slow
def test_commands_say_there_what_to_install(python, tmp_path):
    assert "rdvar train" in call(python.with_name("rdvar"), "train", "--help")
    folder = ("--workdir", tmp_path)
    for command in (
        ("train", *folder, "--config", REPOSITORY / "configs" / "smoke.py"),
        ("export", *folder, "--output", "part.rdvar"),
        ("settings",),
    ):
        done = subprocess.run(
            [python.with_name("rdvar"), *command], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 2
        assert done.stderr == (
            "rdvar: ml_collections is required but not installed; run: "
            'pip install "rdvar-jax[train]"\n'
        )
