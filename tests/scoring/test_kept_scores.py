"""Scoring in a later process: its programs are loaded while the variables are read."""

import jax
import numpy as np
import pytest

from rdvar_jax.devices import compiler, parallel
from rdvar_jax.devices.kept_files import SUFFIX
from rdvar_jax.devices.kept_programs import KeptPrograms
from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.scoring.maps import SIGMA
from rdvar_jax.scoring.pooling import MAX
from rdvar_jax.scoring.scores import (
    fetch_programs,
    make_prepare_fn,
    make_score_fn,
    make_score_step,
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder of programs, and a process whose code is known."""
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "xla"))
    monkeypatch.delenv("RDVAR_KEEP_PROGRAMS")
    monkeypatch.setattr(compiler, "code_in_programs", lambda: "code")
    start_anew()
    yield tmp_path / "xla"
    start_anew()
    jax.config.update("jax_compilation_cache_dir", before)


def start_anew() -> None:
    for maker in (make_prepare_fn, make_score_step, parallel._wrapped):
        maker.forget()


@pytest.mark.parametrize("mode", ["pmap", "shard_map"])
def test_programs_are_there_when_the_variables_are(tiny, folder, monkeypatch, mode):
    devices = Parallel(mode, tuple(jax.local_devices()[:1]))
    networks = tiny.teacher, tiny.student, tiny.SIZE, 4, devices
    variables = tiny.teacher_variables, tiny.student_variables

    def scored():
        score = make_score_fn(*networks)
        return score(*map(devices.replicate, variables), tiny.images[:3])

    expected = scored()
    assert len(list(folder.glob(f"*{SUFFIX}"))) == 2
    start_anew()
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), variables)
    fetch_programs(*networks, SIGMA, "tf32", MAX, None, *shapes)
    monkeypatch.setattr(KeptPrograms, "_place", None)  # no other program is looked for
    np.testing.assert_equal(scored(), expected)
