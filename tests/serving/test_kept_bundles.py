"""A bundle in a later process: its compiled program comes from the user's cache."""

import jax
import numpy as np
import pytest

from rdvar_jax.devices.kept_files import SUFFIX
from rdvar_jax.devices.kept_programs import KeptPrograms
from rdvar_jax.serving.detector import Detector


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder of programs, as where JAX has no cache."""
    before = jax.config.jax_compilation_cache_dir
    monkeypatch.delenv("RDVAR_KEEP_PROGRAMS")
    monkeypatch.setenv("RDVAR_CACHE", str(tmp_path / "cache"))
    jax.config.update("jax_compilation_cache_dir", None)
    yield tmp_path / "cache" / "xla"
    jax.config.update("jax_compilation_cache_dir", before)


def scores(bundle, images):
    found = Detector.load(bundle).predict(images)
    return found.maps, found.scores


def test_a_second_detector_compiles_nothing(bundle, odd, folder, monkeypatch):
    images, before = list(odd.images[:2]), bundle.read_bytes()
    expected = scores(bundle, images)
    (path,) = folder.glob(f"*{SUFFIX}")
    with monkeypatch.context() as patch:
        patch.setattr(KeptPrograms, "_make", None)
        np.testing.assert_equal(scores(bundle, images), expected)
        with pytest.raises(TypeError):  # of another number of images
            scores(bundle, images[:1])
    path.write_bytes(path.read_bytes()[:-1])
    np.testing.assert_equal(scores(bundle, images), expected)
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        np.testing.assert_equal(scores(bundle, images), expected)
    finally:
        jax.config.update("jax_enable_compilation_cache", True)
    assert bundle.read_bytes() == before  # programs stay in the cache of their user
