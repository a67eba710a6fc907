"""A narrow network and a bundle of it."""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from narrow import THRESHOLD, scored, with_statistics

from rdvar_jax.scoring.maps import SIGMA
from rdvar_jax.serving.archive import PROGRAM, WEIGHTS, write_bundle
from rdvar_jax.serving.program import export_program, folded_weights
from rdvar_jax.weights.safetensors_file import safetensors_bytes


@pytest.fixture(scope="session")
def odd(tiny):
    """`tiny` with batch statistics that are not the identity."""
    return replace(
        tiny,
        teacher_variables=with_statistics(tiny.teacher_variables, 3),
        student_variables=with_statistics(tiny.student_variables, 4),
    )


@pytest.fixture(scope="session")
def expected(odd):
    """Maps and scores of `odd.images` as evaluation computes them."""
    return scored(
        odd.teacher, odd.student, odd.teacher_variables, odd.student_variables, odd.images
    )


@pytest.fixture(scope="session")
def weights(odd) -> dict[str, np.ndarray]:
    return folded_weights(odd.teacher_variables, odd.student_variables)


@pytest.fixture(scope="session")
def bundle(odd, weights, tmp_path_factory) -> Path:
    """A bundle of `odd`. Copy it before changing it."""
    path = tmp_path_factory.mktemp("bundle") / "part.rdvar"
    program = export_program(odd.teacher, odd.student, weights, odd.SIZE, SIGMA, "tf32")
    about = {
        "image": {"geometry": "squash", "height": odd.SIZE, "width": odd.SIZE},
        "threshold": {"threshold": THRESHOLD},
        "versions": {"jax": jax.__version__},
    }
    write_bundle(path, about, {PROGRAM: program, WEIGHTS: safetensors_bytes(weights, {})})
    return path
