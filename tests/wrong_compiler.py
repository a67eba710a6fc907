"""A compiler that computes wrong numbers, for tests of what is then said."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
import pytest

from rdvar_jax.devices import canary, compiler

# What XLA does by itself, and this package let it do until its sums were found wrong.
YNN_REDUCTIONS = {
    "xla_cpu_experimental_ynn_fusion_type": (
        "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
    )
}


@contextmanager
def compiler_with_wrong_sums() -> Iterator[None]:
    """Gets the last of many sums wrong, by the options with which jaxlib 0.10 really does.

    Later versions may get it right, and there one of the known answers is changed instead.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "CPU_OPTIONS", YNN_REDUCTIONS)
        if not jax.__version__.startswith("0.10."):
            answers = canary._right_answers
            patch.setattr(canary, "_right_answers", lambda *inputs: _changed(answers(*inputs)))
            patch.setattr(canary, "_record_of", lambda facts: Path("never checked"))
        forget_checks()
        yield
    forget_checks()


def forget_checks() -> None:
    """Makes this process one that has checked no compiler yet."""
    compiler._cpu_options.cache_clear()
    canary._check.cache_clear()


def _changed(answers: dict) -> dict:
    answers["sums of rows"][-1] *= 1.008
    return answers
