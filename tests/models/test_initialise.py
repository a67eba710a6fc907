"""Shapes of variables, kept for later processes: the same as traced, whatever is in the folder."""

import jax
import pytest

from rdvar_jax.devices.kept_files import SUFFIX
from rdvar_jax.models import initialise
from rdvar_jax.models.build import build_student, feature_shapes


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, and a process that knows its code and remembers no shapes."""
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "xla"))
    monkeypatch.delenv("RDVAR_KEEP_PROGRAMS")
    monkeypatch.setattr(initialise, "code_in_programs", lambda: "code")
    yield tmp_path / "xla"
    jax.config.update("jax_compilation_cache_dir", before)


def shapes(arch: str = "resnet18"):
    trace = initialise._abstract_variables.__wrapped__
    leaves, structure = jax.tree.flatten((feature_shapes(arch, 4, 32),))
    return trace(build_student(arch, 4), structure, tuple(leaves), (("train", False),))


def test_shapes_are_traced_once(folder, monkeypatch):
    expected = shapes()
    (path,) = folder.glob(f"shapes-*{SUFFIX}")
    good = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(jax, "eval_shape", None)
        assert shapes() == expected
        with pytest.raises(TypeError):
            shapes("resnet34")
    for damaged in (good[:-1], good.replace(b"float32", b"float64"), b""):
        assert damaged != good
        path.write_bytes(damaged)
        assert shapes() == expected
        assert path.read_bytes() == good
    monkeypatch.setattr(initialise, "code_in_programs", lambda: "other code")
    assert shapes() == expected and len(list(folder.glob(f"shapes-*{SUFFIX}"))) == 2
    monkeypatch.setattr(initialise, "code_in_programs", lambda: None)
    assert shapes("resnet50") and len(list(folder.glob(f"shapes-*{SUFFIX}"))) == 2
