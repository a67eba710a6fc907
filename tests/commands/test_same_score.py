"""The same scores, whoever computes them: run, bundle, server, other runtimes, another language."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from javascript import node
from PIL import Image
from running import running

from rdvar_jax import Detector
from rdvar_jax.data.pixels.decode import decode_image
from rdvar_jax.server.judging.part import load_parts

NUMBER, BATCH = 200, 8
TOLERANCE = 1e-5  # relative, in float32


@pytest.fixture(scope="module")
def photographs(shared, tmp_path_factory) -> list[Path]:
    """200 real images; every fourth as JPEG, since a set has PNG alone."""
    sets = shared / "data" / "mvtec_256"
    found = sorted((sets / "leather_tiles" / "test").rglob("*.png"))
    found += sorted((sets / "screw" / "test").rglob("*.png"))[: NUMBER - len(found)]
    folder = tmp_path_factory.mktemp("photographs")
    paths = []
    for index, path in enumerate(found):
        suffix = ".png" if index % 4 else ".jpg"
        paths.append(folder / f"{index:03d}{suffix}")
        if suffix == ".png":
            shutil.copy(path, paths[-1])
        else:
            with Image.open(path) as image:
                image.save(paths[-1], quality=90)
    assert len(paths) == NUMBER
    return paths


@pytest.fixture(scope="module")
def exported(real, leather, tmp_path_factory) -> Path:
    """A folder with a run, its bundle and its ONNX file."""
    folder = tmp_path_factory.mktemp("exported")
    run = Path(shutil.copytree(leather, folder / "run"))
    for command in (
        ("threshold", "--workdir", run, "--target", "0.1"),
        ("export", "--workdir", run, "--output", folder / "part.rdvar"),
        ("export", "--workdir", run, "--output", folder / "part.onnx", "--format", "onnx"),
    ):
        done = real.run(*command)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.real_data
def test_two_hundred_real_images_score_alike(real, exported, photographs, node_example, tmp_path):
    pictures, output = photographs[0].parent, tmp_path / "predicted"
    done = real.run(
        *("predict", "--workdir", exported / "run", "--input", pictures, "--output", output),
        *("--noheat_maps", "--nooverlays"),
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (output / "scores.jsonl").read_text().splitlines()]
    scores = {"run": [row["score"] for row in rows]}
    verdicts = {"run": [row["verdict"] for row in rows]}

    def predicted(name, detector):
        found = detector.predict(photographs)
        scores[name] = list(found.scores)
        verdicts[name] = ["defective" if one else "good" for one in found.verdicts]

    predicted("bundle", Detector.load(exported / "part.rdvar"))
    for runtime in ("onnxruntime", "openvino"):
        predicted(runtime, Detector.load(exported / "part.onnx", runtime=runtime))

    parts = load_parts([exported / "part.rdvar"], BATCH)
    geometry = parts["part"].geometry
    with running(parts) as served:
        answers = [served.predict(path.read_bytes()).json for path in photographs]
        tensors = []
        for start in range(0, NUMBER, BATCH):
            batch = photographs[start : start + BATCH]
            pixels = [decode_image(path, geometry) for path in batch]
            tensors += infer(served, np.stack(pixels))
    scores["HTTP, files"] = [one["score"] for one in answers]
    verdicts["HTTP, files"] = [one["verdict"] for one in answers]
    scores["HTTP, tensors"] = tensors

    done = node(node_example, "score.mjs", exported / "part.onnx", *photographs)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    scores["JavaScript"] = [row["score"] for row in rows]
    verdicts["JavaScript"] = [row["verdict"] for row in rows]

    expected = np.array(scores.pop("run"))
    worst = {
        name: float(np.max(np.abs(np.array(found) - expected) / expected))
        for name, found in scores.items()
    }
    assert len(worst) == 6 and max(worst.values()) < TOLERANCE, worst
    first = verdicts.pop("run")
    assert set(first) == {"good", "defective"}
    assert all(found == first for found in verdicts.values())


def infer(served, pixels: np.ndarray) -> list[float]:
    """Scores of uint8 [B, H, W, 3] by the Open Inference Protocol."""
    images = {
        "name": "images",
        "shape": list(pixels.shape),
        "datatype": "UINT8",
        "data": pixels.ravel().tolist(),
    }
    answer = served.infer({"inputs": [images], "outputs": [{"name": "scores"}]})
    assert answer.status == 200, answer.body
    (found,) = answer.json["outputs"]
    return found["data"]
