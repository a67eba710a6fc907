"""Fixtures: a bundle of narrow networks, and a server of it that tests share."""

from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest
from running import Running, png, running

from rdvar_jax.scoring.maps import SIGMA
from rdvar_jax.server.judging.part import Part, load_parts
from rdvar_jax.serving.archive import PROGRAM, WEIGHTS, write_bundle
from rdvar_jax.serving.detector import Detector
from rdvar_jax.serving.program import export_program, folded_weights
from rdvar_jax.weights.safetensors_file import safetensors_bytes

IMAGE_WH = (48, 40)  # of files; the model's is square


@pytest.fixture(scope="session")
def pictures() -> list[np.ndarray]:
    """Eight images of different content, uint8 [h, w, 3]."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 256, (8, 5, 6, 3), dtype=np.uint8)
    return list(coarse.repeat(8, 1).repeat(8, 2))


@pytest.fixture(scope="session")
def files(pictures) -> list[bytes]:
    """The same as PNG files."""
    return [png(one) for one in pictures]


@pytest.fixture(scope="session")
def make_bundle(tiny):
    """Writes a bundle of `tiny` with a threshold, a value or all entries, or without one."""
    weights = folded_weights(tiny.teacher_variables, tiny.student_variables)
    program = export_program(tiny.teacher, tiny.student, weights, tiny.SIZE, SIGMA, "tf32")

    def make(path: Path, threshold: float | dict | None = None) -> Path:
        entry = {"threshold": threshold} if isinstance(threshold, float) else threshold
        about = {
            "image": {"geometry": "squash", "height": tiny.SIZE, "width": tiny.SIZE},
            "threshold": entry,
            "versions": {"jax": jax.__version__},
        }
        members = {PROGRAM: program, WEIGHTS: safetensors_bytes(weights, {})}
        write_bundle(path, about, members)
        return path

    return make


@pytest.fixture(scope="session")
def bundle(make_bundle, pictures, tmp_path_factory) -> Path:
    """A bundle with a threshold that half of `pictures` are above."""
    folder = tmp_path_factory.mktemp("served")
    scores = Detector.load(make_bundle(folder / "bare.rdvar")).predict(pictures).scores
    return make_bundle(folder / "part.rdvar", float(np.median(scores)))


@pytest.fixture(scope="session")
def detector(bundle) -> Detector:
    """The bare detector."""
    return Detector.load(bundle)


@pytest.fixture(scope="session")
def parts(bundle) -> dict[str, Part]:
    """The bundle as the server loads it."""
    parts = load_parts([bundle], 8)
    parts["part"].compile(8)
    return parts


@pytest.fixture(scope="module")
def served(parts) -> Iterator[Running]:
    """A server with the default settings."""
    with running(parts) as found:
        yield found
