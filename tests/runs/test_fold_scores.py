"""The files of folds, and those of earlier versions."""

import hashlib
import io

import numpy as np
import pytest

from rdvar_jax.runs.fold_scores import DIGEST_BYTES, FoldFiles
from rdvar_jax.runs.workdir import Workdir
from rdvar_jax.training.folds import FoldScores

MAPS = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
SCORES = np.array([3, 7], np.float32)


@pytest.mark.parametrize("few", [None, SCORES + 1])
def test_a_fold_comes_back_as_it_was(tmp_path, few):
    files = FoldFiles.of(Workdir(tmp_path), {"epochs": 3})
    files.write(0, FoldScores((1, 4), MAPS, SCORES, 0.5, few, 0.25))
    found = files.read(0)
    assert found is not None and (found.rows, found.seen_median) == ((1, 4), 0.5)
    np.testing.assert_array_equal(found.maps, MAPS)
    np.testing.assert_array_equal(found.scores, SCORES)
    if few is None:
        assert found.few_scores is None
    else:
        np.testing.assert_array_equal(found.few_scores, few)
        assert found.few_seen_median == 0.25
    assert FoldFiles.of(Workdir(tmp_path), {"epochs": 4}).read(0) is None


def test_a_fold_of_a_version_without_second_students_is_read(tmp_path):
    files = FoldFiles.of(Workdir(tmp_path), {"epochs": 3})
    files.write(0, FoldScores((1, 4), MAPS, SCORES, 0.5, SCORES, 0.25))
    (path,) = (tmp_path / "folds").iterdir()
    with np.load(io.BytesIO(path.read_bytes()[:-DIGEST_BYTES])) as file:
        old = {name: file[name] for name in file if not name.startswith("few")}
    content = io.BytesIO()
    np.savez(content, **old)
    path.write_bytes(content.getvalue() + hashlib.sha256(content.getvalue()).digest())
    found = files.read(0)
    assert found is not None and found.few_scores is None and found.rows == (1, 4)
