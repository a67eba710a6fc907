"""A command whose compiler computes wrong numbers ends before it writes any."""

import jax
import pytest
from rdvar_process import assert_one_sentence

from rdvar_jax.devices import canary, compiler
from rdvar_jax.scoring.scores import make_prepare_fn


@pytest.mark.skipif(not jax.__version__.startswith("0.10."), reason="a fault of jaxlib 0.10.2")
def test_a_command_ends_with_one_sentence(rdvar, finished, tmp_path, monkeypatch):
    """With the options that jaxlib 0.10.2 computes wrong sums with."""
    reduces = "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
    (option,) = compiler.CPU_OPTIONS
    monkeypatch.setitem(compiler.CPU_OPTIONS, option, reduces)
    make_prepare_fn.forget()  # or nothing would be compiled
    canary._check.cache_clear()
    output = tmp_path / "output"
    images = rdvar.root / "tile" / "test" / "good"
    done = rdvar.run(
        "predict", "--workdir", finished.workdir, "--input", images, "--output", output
    )
    assert_one_sentence(
        done,
        f"jax {jax.__version__}",
        "computes wrong numbers on cpu",
        "sums of rows",
        "install other versions of jax and jaxlib (tested: ",
    )
    assert not output.exists()
