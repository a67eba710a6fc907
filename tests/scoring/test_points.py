"""Points of curves: on the exact curve, few, and close enough to draw."""

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from rdvar_jax.scoring import metrics
from rdvar_jax.scoring.points import NUM_POINTS, PRO_LIMIT, curve_points


def sample_set(count=12, size=48, seed=0):
    """Maps that see some of each defect; rounded, so that there are ties."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, size, size), bool)
    for i in range(0, count, 2):
        row, column, side = *rng.integers(0, size // 2, 2), rng.integers(2, size // 3)
        masks[i, row : row + side, column : column + side] = True
    maps = np.round(rng.normal(0, 1, masks.shape) + 1.2 * masks, 3).astype(np.float32)
    labels = masks.any(axis=(1, 2)).astype(np.int32)
    return maps, maps.max(axis=(1, 2)), masks, labels


def area(points, limit=1.0):
    x, y = np.transpose(points)
    assert (x[0], y[0]) == (0, 0) and x[-1] == pytest.approx(limit)
    assert (np.diff(x) >= 0).all() and (np.diff(y) >= 0).all()
    return np.trapezoid(y, x) / limit


def test_areas_are_those_of_the_metrics():
    maps, scores, masks, labels = sample_set()
    points = curve_points(maps, scores, masks, labels)
    assert area(points["image_roc"]) == pytest.approx(metrics.auroc(scores, labels), abs=1e-5)
    assert area(points["pixel_roc"]) == pytest.approx(metrics.auroc(maps, masks), abs=1e-4)
    aupro = metrics.aupro(maps, masks, PRO_LIMIT)
    assert area(points["pro"], PRO_LIMIT) == pytest.approx(aupro, abs=1e-3)
    assert all(len(curve) <= 2 * NUM_POINTS + 2 for curve in points.values())


def test_points_are_on_the_curve_and_not_far_apart():
    maps, scores, masks, labels = sample_set(seed=1)
    points = np.array(curve_points(maps, scores, masks, labels)["pixel_roc"])
    false, found, _ = roc_curve(masks.ravel(), maps.ravel(), drop_intermediate=False)
    corners = np.stack([false, found], axis=1)
    away = np.abs(points[:, None] - corners[None]).sum(axis=2).min(axis=1)
    assert away.max() < 2e-6  # six digits
    # Where two are far apart the curve is straight between them.
    for start, end in zip(points[:-1], points[1:], strict=True):
        between = (corners.sum(axis=1) > start.sum()) & (corners.sum(axis=1) < end.sum())
        (x, y), (width, height) = (corners[between] - start).T, end - start
        if width + height > 2.01 * 2 / NUM_POINTS:
            assert np.abs(x * height - y * width).max(initial=0) < 1e-5 * (width + height)


def test_pixels_that_do_not_count_move_no_curve():
    maps, scores, masks, labels = sample_set()
    expected = curve_points(maps, scores, masks, labels)
    border = (0, 0), (3, 4), (0, 5)
    valid_mask = np.pad(np.ones_like(masks), border)
    wide = np.pad(maps, border, constant_values=maps.max()), scores, np.pad(masks, border), labels
    assert curve_points(*wide, valid_mask=valid_mask) == expected
    assert curve_points(*wide) != expected


def test_the_roc_of_few_images_keeps_every_corner():
    maps, _, masks, labels = sample_set(count=4)
    scores = np.array([3, 2, 2, 1], np.float32)  # a tie of two classes is a slope
    points = curve_points(maps, scores, masks, np.array([1, 0, 1, 0]))["image_roc"]
    assert points == [[0, 0], [0, 0.5], [0.5, 1], [1, 1]]


def test_what_a_set_cannot_define_is_none():
    maps, scores, masks, labels = sample_set(count=4)
    nothing = {"image_roc": None, "pixel_roc": None, "pro": None}
    assert curve_points(maps, scores, masks & False, labels * 0) == nothing
    assert curve_points(maps, scores, masks & False, labels * 0 - 1) == nothing
    without_masks = curve_points(maps, scores, masks & False, labels)
    assert without_masks["image_roc"] and not without_masks["pro"]
