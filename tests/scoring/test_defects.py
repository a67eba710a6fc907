"""Regions of a map above a threshold, with their boxes."""

import numpy as np
import pytest

from rdvar_jax.scoring.defects import Defect, above_threshold, find_defects


def test_boxes_areas_and_scores_count_pixels_and_the_highest_comes_first():
    raw = np.zeros((6, 9), np.float32)
    raw[1, 2], raw[2, 3], raw[2, 4] = 1, 2, 3  # touch at a corner: one region
    raw[5, 8] = 5
    defects = find_defects(above_threshold(raw, 0.5, 5.0), raw)
    assert defects == [Defect((8, 5, 9, 6), 1, 5.0), Defect((2, 1, 5, 3), 3, 3.0)]


def test_a_value_equal_to_the_threshold_is_not_above_it():
    raw = np.full((2, 2), np.float32(0.1))
    assert not above_threshold(raw, float(np.float32(0.1)), 0.1).any()
    assert not above_threshold(raw, 0.1, np.float32(0.1)).any()  # compared as float32
    raw[0, 1] = np.nextafter(raw[0, 1], np.float32(1))
    assert above_threshold(raw, 0.1, raw[0, 1]).tolist() == [[False, True], [False, False]]


def test_a_peak_lost_in_resizing_leaves_its_highest_pixel():
    raw = np.array([[0.1, 0.4], [0.3, 0.2]], np.float32)
    assert above_threshold(raw, 0.5, 0.6).tolist() == [[False, True], [False, False]]
    assert not above_threshold(raw, 0.5, 0.5).any()  # the map itself was not above
    assert find_defects(above_threshold(raw, 0.5, 0.5), raw) == []


@pytest.mark.parametrize("seed", range(5))
def test_the_boxes_hold_all_pixels_and_no_line_too_many(seed):
    rng = np.random.default_rng(seed)
    raw = rng.random((23, 31), np.float32)
    above = above_threshold(raw, 0.8, 1.0)
    defects = find_defects(above, raw)
    assert sum(defect.area for defect in defects) == above.sum()
    covered = np.zeros_like(above)
    for x0, y0, x1, y1 in (defect.box for defect in defects):
        assert above[y0:y1, [x0, x1 - 1]].any(axis=0).all()
        assert above[[y0, y1 - 1], x0:x1].any(axis=1).all()
        covered[y0:y1, x0:x1] = True
    assert not (above & ~covered).any()
    assert defects[0].score == raw.max()


def test_small_regions_do_not_count():
    raw = np.zeros((9, 12), np.float32)
    raw[1, 1] = 0.9  # one pixel
    raw[4:6, 4:6] = raw[6, 6] = 0.8  # five, one of them at a corner
    raw[0:3, 9:11] = 0.7  # six
    for min_area, areas in ((0, [1, 5, 6]), (1, [1, 5, 6]), (2, [5, 6]), (6, [6]), (7, [])):
        above = above_threshold(raw, 0.5, 0.9, min_area)
        assert sorted(defect.area for defect in find_defects(above, raw)) == areas
        assert above.sum() == sum(areas)
    assert not above_threshold(np.zeros((3, 3), np.float32), 0.5, 0.5, 2).any()
    assert above_threshold(np.ones((3, 3), np.float32), 0.5, 1.0, 9).all()
    # The pixel that stands for a peak lost in the resize is a region of one.
    assert above_threshold(raw, 0.95, 1.0, 1).sum() == 1
    assert not above_threshold(raw, 0.95, 1.0, 2).any()


def test_where_nothing_counts_there_is_no_region():
    nothing = np.full((3, 4), -np.inf, np.float32)
    assert not above_threshold(nothing, 0.5, 0.6).any()
