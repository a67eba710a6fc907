"""The same raw score from evaluation, prediction, a bundle and ONNX runtimes, on real images."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from run_files import read_scores

from rdvar_jax import Detector
from rdvar_jax.data.pixels.decode import decode_image
from rdvar_jax.serving.runtimes.runtime import ONNX_RUNTIMES

pytestmark = [pytest.mark.slow, pytest.mark.real_data]


@pytest.fixture(params=[pytest.param("screw", marks=pytest.mark.nightly), "leather_tiles"])
def run(request, real, resnet18_weights, tmp_path) -> tuple[Path, Path, int]:
    """A run with its scores of the test set, the category's folder, and the images' size."""
    category = request.param
    if category == "leather_tiles":
        return request.getfixturevalue("leather"), real.root / category, 96
    workdir, settings = tmp_path / "run", ("--config.data.image_size=64", "--config.train.epochs=1")
    call(real, *real.train_resnet18_args(category, resnet18_weights, workdir, *settings))
    call(real, "evaluate", "--workdir", workdir)
    return workdir, real.root / category, 64


def call(real, *args) -> None:
    done = real.process(*args)
    assert done.returncode == 0, done.stderr


def test_all_ways_give_the_same_score(real, run, tmp_path):
    workdir, category, size = run
    expected = read_scores(workdir / "scores.csv")
    images = [category / name for name in expected]
    evaluated = np.array(list(expected.values()))
    assert len(evaluated) > 50 and np.ptp(evaluated) > 0.1 * evaluated.max()

    scores = {}
    call(real, "export", "--workdir", workdir, "--output", tmp_path / "part.rdvar")
    call(
        real, "export", "--workdir", workdir, "--output", tmp_path / "part.onnx", "--format", "onnx"
    )
    session = onnxruntime.InferenceSession(tmp_path / "part.onnx")
    pixels = np.stack([decode_image(path, size) for path in images])
    for batch in (1, 7):
        output = tmp_path / f"predicted_{batch}"
        options = (f"--config.score.batch_size={batch}", "--noheat_maps", "--output", output)
        call(real, "predict", "--workdir", workdir, "--input", category / "test", *options)
        predicted = read_scores(output / "scores.csv")
        scores["predict", batch] = [predicted[name.removeprefix("test/")] for name in expected]
        detector = Detector.load(tmp_path / "part.rdvar", batch_size=batch)
        scores["bundle", batch] = detector.predict(images).scores
        for runtime in ONNX_RUNTIMES:
            of_model = Detector.load(tmp_path / "part.onnx", batch_size=batch, runtime=runtime)
            scores[runtime, batch] = of_model.predict(images).scores
        scores["session", batch] = np.concatenate(
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


def test_runtimes_agree_on_200_images(real, leather, tmp_path):
    """Of another set too: what a network was not trained on gives its largest values."""
    sets = [real.root / name for name in ("leather_tiles", "screw")]
    images = [path for folder in sets for path in sorted(folder.rglob("*.png"))]
    images = [path for path in images if "ground_truth" not in path.parts][:200]
    assert len(images) == 200 and images[0].is_relative_to(sets[0])
    assert images[-1].is_relative_to(sets[1])
    bundle, model = tmp_path / "part.rdvar", tmp_path / "part.onnx"
    call(real, "export", "--workdir", leather, "--output", bundle)
    call(real, "export", "--workdir", leather, "--output", model, "--format", "onnx")
    expected = Detector.load(bundle).predict(images)
    for runtime in ONNX_RUNTIMES:
        found = Detector.load(model, runtime=runtime).predict(images)
        worst = np.max(np.abs(found.scores / expected.scores - 1))
        largest = expected.maps.max(axis=(1, 2), keepdims=True)
        worst_map = np.max(np.abs(found.maps - expected.maps) / largest)
        print(runtime, "largest relative differences of scores and maps:", worst, worst_map)
        assert worst < 1e-5 and worst_map < 1e-5
        assert found.names == expected.names
