"""ONNX files in a detector: the scores of evaluation in every runtime, and bad files refused."""

import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from narrow import THRESHOLD, narrow, scored
from PIL import Image
from tampered_onnx import TAMPERED, tampered

from rdvar_jax import Detector
from rdvar_jax.data.pixels.ignore_mask import IgnoreMask
from rdvar_jax.errors import BundleError, UserError
from rdvar_jax.models.stfpm import PyramidStudent
from rdvar_jax.models.student import Student
from rdvar_jax.scoring.maps import SIGMA
from rdvar_jax.serving.onnx_network import build_onnx
from rdvar_jax.serving.program import folded_weights
from rdvar_jax.serving.runtimes import choice
from rdvar_jax.serving.runtimes.runtime import ONNX_RUNTIMES


@pytest.fixture(scope="module")
def networks():
    return narrow("resnet18", 4, 32)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(6).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def expected(networks, images):
    """Maps and scores as evaluation computes them."""
    return scored(*networks, images)


@pytest.fixture(scope="module")
def about() -> dict:
    return {
        "image": {"geometry": "squash", "height": 32, "width": 32},
        "threshold": {"threshold": THRESHOLD},
        "versions": {"jax": "0.10.2"},
    }


@pytest.fixture(scope="module")
def write(networks, about, tmp_path_factory):
    """Writes a model as the export does, with other entries or ignored pixels."""
    folder, weights = tmp_path_factory.mktemp("onnx"), folded_weights(*networks[2:])

    def write(name="part.onnx", ignored=None, metadata=(), **entries) -> Path:
        properties = {"rdvar": json.dumps({**about, **entries}), **dict(metadata)}
        model = build_onnx("resnet18", weights, 32, SIGMA, properties, ignored=ignored)
        (folder / name).write_bytes(model)
        return folder / name

    return write


@pytest.fixture(scope="module")
def path(write) -> Path:
    return write()


@pytest.fixture(scope="module", params=ONNX_RUNTIMES)
def detector(request, path) -> Detector:
    return Detector.load(path, batch_size=4, runtime=request.param)


@pytest.mark.parametrize("count", [1, 3, 8])
def test_scores_are_those_of_evaluation_for_any_number(detector, images, expected, count):
    found = detector.predict(images[:count])
    maps, scores = expected
    np.testing.assert_allclose(found.maps, maps[:count], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.scores, scores[:count], rtol=1e-5)
    assert found.maps.dtype == found.scores.dtype == np.float32
    assert found.verdicts.tolist() == (found.scores > np.float32(THRESHOLD)).tolist()


def test_results_are_the_same_each_time_and_stay_as_they_are(detector, images):
    first = detector.score(images[:3])
    kept = [array.copy() for array in first]
    detector.score(images[3:6])
    again = detector.score(images[:3])
    for one, before, after in zip(first, kept, again, strict=True):
        assert np.array_equal(one, before) and np.array_equal(before, after)


def test_the_runtime_is_the_first_that_is_installed(path, monkeypatch):
    assert Detector.load(path).runtime == "onnxruntime"
    assert Detector.load(path, runtime="openvino").runtime == "openvino"
    installed = {"openvino"}
    monkeypatch.setattr(choice, "find_spec", lambda name: name if name in installed else None)
    assert Detector.load(path).runtime == "openvino"
    with pytest.raises(BundleError, match=r'onnxruntime is .* pip install "rdvar-jax\[onnxrunt'):
        Detector.load(path, runtime="onnxruntime")
    installed.clear()
    with pytest.raises(BundleError, match=r"neither is installed; run: pip install .rdvar-jax\[o"):
        Detector.load(path)
    with pytest.raises(ValueError, match="one of onnxruntime, openvino, not 'tensorrt'"):
        Detector.load(path, runtime="tensorrt")


def test_a_bundle_takes_no_runtime(bundle):
    with pytest.raises(ValueError, match=r"runtime='openvino' is for \.onnx files"):
        Detector.load(bundle, runtime="openvino")
    assert Detector.load(bundle).runtime == "jax"


def test_the_sha256_is_compared(path):
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert Detector.load(path, sha256=sha256.upper()).threshold == THRESHOLD
    with pytest.raises(BundleError, match=f"has the sha256 {sha256}, but 00 is expected"):
        Detector.load(path, sha256="00")


@pytest.mark.parametrize("runtime", ONNX_RUNTIMES)
def test_ignored_pixels_come_with_their_picture(images, write, runtime, expected):
    ignored = np.zeros((64, 64), bool)  # twice the size of the maps
    ignored[:40] = True
    mask = IgnoreMask.of(ignored)
    entries = {"rdvar_ignore": base64.b64encode(mask.png()).decode()}
    of_maps = {"ignore_sha256": mask.sha256}
    path = write("ignore.onnx", ignored[::2, ::2], entries, map=of_maps, min_area=3)
    detector = Detector.load(path, runtime=runtime)
    assert detector.ignore == mask and detector.min_area == 3
    found = detector.predict(images)
    assert not found.maps[:, :20].any()
    np.testing.assert_allclose(found.maps[:, 20:], expected[0][:, 20:], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found.scores, found.maps.max((1, 2)))


def test_a_file_of_before_without_the_picture_is_read(write, images, caplog):
    ignored = np.zeros((32, 32), bool)
    ignored[:9] = True
    path = write("before.onnx", ignored, map={"ignore_sha256": "a"})
    detector = Detector.load(path)
    assert "earlier version" in caplog.text and detector.ignore is None
    assert not detector.predict(images).maps[:, :9].any()


@pytest.mark.parametrize("runtime", ONNX_RUNTIMES)
def test_no_jax_is_loaded_and_nothing_is_sent(path, images, tmp_path, runtime):
    Image.fromarray(images[0]).save(tmp_path / "a.png")
    code = (
        "import os, sys; from rdvar_jax import Detector\n"
        # OpenVINO would send telemetry from a forked process.
        "os.register_at_fork(before=lambda: print('forked'))\n"
        f"found = Detector.load(sys.argv[1], runtime='{runtime}').predict(sys.argv[2])\n"
        "assert found.scores.shape == (1,)\n"
        "assert not {'jax', 'onnx', 'openvino_telemetry', 'safetensors'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(path), str(tmp_path / "a.png")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


@pytest.mark.parametrize("name", TAMPERED)
def test_a_file_that_was_changed_is_one_sentence(path, tmp_path, name):
    changed = tmp_path / "changed.onnx"
    changed.write_bytes(tampered(path.read_bytes(), name))
    with pytest.raises(BundleError) as caught:
        Detector.load(changed)
    sentence = str(caught.value)
    assert TAMPERED[name][1] in sentence and str(changed) in sentence
    assert "\n" not in sentence and sentence.isprintable() and len(sentence) < 700


def test_a_runtime_never_sees_what_is_refused(path, tmp_path, monkeypatch):
    """ONNX Runtime itself reads the other file."""
    changed = tmp_path / "changed.onnx"
    changed.write_bytes(tampered(path.read_bytes(), "external data"))
    seen = []
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *args, **_: seen.append(args))
    with pytest.raises(BundleError, match="other files"):
        Detector.load(changed)
    assert not seen


@pytest.mark.parametrize("runtime", ONNX_RUNTIMES)
def test_any_flipped_bit_is_a_refusal_or_a_score(path, images, tmp_path, runtime):
    """Never another exception; what is left of a flipped weight is a number or refused."""
    content, rng = path.read_bytes(), np.random.default_rng(4)
    outcomes = []
    for place in rng.integers(0, len(content), 10):
        changed = bytearray(content)
        changed[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "x.onnx").write_bytes(changed)
        try:
            Detector.load(tmp_path / "x.onnx", runtime=runtime).predict(images[:1])
            outcomes.append("score")
        except UserError:
            outcomes.append("refused")
    assert "score" in outcomes


def test_files_that_are_not_there(tmp_path):
    (tmp_path / "folder.onnx").mkdir()
    for name, words in (("none.onnx", "does not exist"), ("folder.onnx", "is a folder")):
        with pytest.raises(BundleError, match=words):
            Detector.load(tmp_path / name)


FORKED = """
import os, sys
import numpy as np
from rdvar_jax import Detector
path, runtime = sys.argv[1:]
images = np.zeros((1, 32, 32, 3), np.uint8)
detector = Detector.load(path, runtime=runtime)
expected = detector.predict(images).scores
if (child := os.fork()) == 0:
    try:
        detector.predict(images)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.mark.slow  # a process of its own, because a fork of this one would copy the tests
@pytest.mark.parametrize("runtime", ONNX_RUNTIMES)
def test_a_detector_in_a_forked_process_is_refused(path, runtime):
    command = [sys.executable, "-c", FORKED, str(path), runtime]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("UserError this process was forked from the one that loaded")


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ONNX_RUNTIMES)
def test_every_operation_of_the_export_is_known(runtime, tmp_path):
    """STFPM's maps, pooled scores and bottleneck blocks use other operations."""
    images = np.random.default_rng(6).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    for arch, student, sigma, pooling in (
        ("resnet50", Student, SIGMA, 0.05),
        ("resnet18", PyramidStudent, 2.0, "max"),
    ):
        other = narrow(arch, 4, 32, student)
        manifest = {
            "image": {"geometry": "squash", "height": 32, "width": 32},
            "threshold": None,
            "map": {"pooling": pooling},
        }
        properties = {"rdvar": json.dumps(manifest)}
        weights = folded_weights(*other[2:])
        model = build_onnx(arch, weights, 32, sigma, properties, pooling, None, student)
        (tmp_path / "x.onnx").write_bytes(model)
        found = Detector.load(tmp_path / "x.onnx", runtime=runtime).predict(images)
        maps, _ = scored(*other, images, sigma)
        np.testing.assert_allclose(found.maps, maps, rtol=1e-4, atol=1e-6)
        assert onnx.load_from_string(model).graph.node
