"""The summary of redraws: false alarms, recall beside the oracle's, and what the factor changes."""

import sys
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path[:0] = [str(TOOLS)]

from threshold_study import POOLINGS, summary  # noqa: E402


def redraw(seed: int) -> dict:
    """Twenty known images with scores 0.01 to 0.2, which as new ones would score 0.1 more."""
    seen = np.arange(1, 21) / 100
    scores = {
        "seen": seen.tolist(),
        "like_new": (seen + 0.1).tolist(),
        "factor": 0.5,
        # The highest of `like_new`, 0.3, is the threshold; 2 of 40 good images are above it.
        "good": [0.2] * 38 + [0.31, 0.32],
        "defective": [0.25, 0.305, 0.35, 0.45],
    }
    return {
        "seed": seed,
        "number": 20,
        "epochs": 3,
        "scores": {str(pooling): scores for pooling in POOLINGS},
    }


def test_a_summary_compares_the_threshold_with_the_oracles():
    found = summary([redraw(seed) for seed in range(3)])

    assert (found["number"], found["epochs"], found["redraws"]) == (20, 3, 3)
    assert found["factor"] == 0.5
    at = found["max"]
    assert at["false_alarms"]["mean"] == pytest.approx(0.05)
    assert at["recall"]["mean"] == pytest.approx(0.75)  # three defects of four
    # The oracle's threshold is 0.31, with two defects above it.
    assert at["oracle_recall"]["mean"] == pytest.approx(0.5)
    assert at["recall_by_oracle"] == pytest.approx(1.5)
    assert at["interval"] == pytest.approx([1.5, 1.5])


def test_a_summary_says_what_the_threshold_would_be_without_the_factor():
    found = summary([redraw(seed) for seed in range(3)])

    # The whole excess is 0.2: the threshold is 0.4, with one defect and no good image above it.
    plain = found["without_factor"]
    assert plain["false_alarms"] == 0
    assert plain["recall_by_oracle"] == pytest.approx(0.5)
