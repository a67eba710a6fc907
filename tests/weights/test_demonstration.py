"""Teachers that are for demonstrations only say so."""

import logging

from rdvar_jax.runs.config import RANDOM_WEIGHTS
from rdvar_jax.weights.demonstration import (
    DRAWN_SHA256,
    RANDOM_SOURCE,
    demonstration_remark,
    warn_if_for_demonstrations,
)
from rdvar_jax.weights.file_hash import sha256_of
from rdvar_jax.weights.procedural import procedural_path


def test_the_drawn_teacher_and_untrained_ones_have_a_remark():
    assert sha256_of(procedural_path()) == DRAWN_SHA256
    assert RANDOM_SOURCE == RANDOM_WEIGHTS
    drawn = demonstration_remark(DRAWN_SHA256)
    assert drawn is not None and "for demonstrations only" in drawn and "0.60" in drawn
    assert "demonstrations only" in (demonstration_remark(RANDOM_SOURCE) or "")
    assert demonstration_remark("f37072fd" + "0" * 56) is None


def test_the_warning_is_one_line(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("rdvar_jax"), "propagate", True)
    for source in (DRAWN_SHA256, RANDOM_SOURCE, "f37072fd" + "0" * 56):
        warn_if_for_demonstrations(source)
    # Once a command has run in this process, the logger has a handler of its own beside the root's.
    lines = list(dict.fromkeys(record.getMessage() for record in caplog.records))
    assert len(lines) == 2
    assert all(line.endswith("; see rdvar weights") and "\n" not in line for line in lines)
