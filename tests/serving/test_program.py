"""Programs whose weights are partly transposed."""

import jax
import numpy as np
import pytest

from rdvar_jax.models import few_rows
from rdvar_jax.scoring.maps import SIGMA
from rdvar_jax.serving.program import bundled_weights, export_program
from rdvar_jax.serving.runtimes.exported_program import ExportedProgram


@pytest.fixture
def bundled(odd, weights, monkeypatch):
    """The weights of `odd`, which is narrow, as if its kernels were large."""
    monkeypatch.setattr(few_rows, "MIN_CHANNELS", 1)
    return bundled_weights(odd.teacher, odd.student, weights, odd.SIZE, "tf32")


def test_kernels_of_maps_of_up_to_4x4_are_transposed(odd, weights, bundled):
    of_students = "few_rows/student/ocbe/bn_layer/block0"
    kernel = weights["student/ocbe/bn_layer/block0/conv2/kernel"]
    np.testing.assert_array_equal(
        bundled[f"{of_students}/conv2/kernel"], kernel.reshape(-1, kernel.shape[-1]).T
    )
    # Of a map of 8 x 8.
    large = "teacher/layer1/block0/conv1/kernel"
    np.testing.assert_array_equal(bundled[large], weights[large])
    assert sum(x.size for x in bundled.values()) == sum(x.size for x in weights.values())


def test_scores_stay(odd, bundled, expected):
    program = export_program(odd.teacher, odd.student, bundled, odd.SIZE, SIGMA, "tf32")
    loaded = ExportedProgram(program, bundled, (odd.SIZE, odd.SIZE), batch=4)
    for count in (1, 3):
        maps, scores = loaded.score(odd.images[:count])
        np.testing.assert_allclose(maps, expected[0][:count], atol=1e-5)
        np.testing.assert_allclose(scores, expected[1][:count], rtol=1e-5)


def test_narrow_and_bfloat16_ones_stay(odd, weights):
    for precision in ("tf32", "bfloat16"):
        kept = bundled_weights(odd.teacher, odd.student, weights, odd.SIZE, precision)
        assert jax.tree.all(jax.tree.map(np.array_equal, kept, dict(weights)))
