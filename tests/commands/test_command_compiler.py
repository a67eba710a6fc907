"""A command whose compiler computes wrong numbers ends before it writes any."""

import jax
from rdvar_process import assert_one_sentence
from wrong_compiler import compiler_with_wrong_sums

from rdvar_jax.scoring.scores import make_prepare_fn


def test_a_command_ends_with_one_sentence(rdvar, finished, tmp_path):
    make_prepare_fn.forget()  # or nothing would be compiled
    output, images = tmp_path / "output", rdvar.root / "tile" / "test" / "good"
    arguments = ("--workdir", finished.workdir, "--input", images, "--output", output)
    with compiler_with_wrong_sums():
        done = rdvar.run("predict", *arguments)
    assert_one_sentence(
        done,
        f"jax {jax.__version__}",
        "computes wrong numbers on cpu",
        "sums of rows",
        "install another version: pip install jax==",
    )
    assert not output.exists()
