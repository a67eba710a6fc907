"""Ranking metrics against scikit-learn, and properties of every metric."""

import subprocess
import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from rdvar_jax.scoring.metrics import (
    aupro,
    auroc,
    average_precision,
    f1_max,
    image_metrics,
    pixel_metrics,
    pro_rd4ad,
)

EXACT: dict[str, Any] = {"rel": 1e-12, "abs": 1e-12}
RANKED = ["pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro"]


def sklearn_f1_max(scores, labels):
    precision, recall, _ = precision_recall_curve(labels, scores)
    total = precision + recall
    return np.max(2 * precision * recall / np.where(total > 0, total, 1))


def draw_scores(rng, kind, size):
    """Scores that stress one thing each: ties, signs, zeros of both signs, tiny steps."""
    if kind == "distinct":
        return rng.permutation(size).astype(np.float32) - size // 3
    if kind == "heavy ties":
        return rng.integers(-2, 3, size).astype(np.float32)
    if kind == "two values":
        return rng.integers(0, 2, size).astype(np.float64)
    if kind == "signed zeros":
        return rng.choice(np.array([-1, -0.0, 0.0, 1], dtype=np.float32), size)
    if kind == "neighbouring floats":
        return (np.float32(1) + rng.integers(0, 9, size) * np.float32(2**-23)).astype(np.float32)
    if kind == "subnormal":
        return (rng.integers(-9, 9, size) * np.float64(5e-324)).astype(np.float64)
    if kind == "float64 closer than float32":
        return 1 + rng.integers(0, 9, size) * 1e-15
    return rng.normal(size=size).astype(np.float32)


KINDS = [
    "distinct",
    "heavy ties",
    "two values",
    "signed zeros",
    "neighbouring floats",
    "subnormal",
    "float64 closer than float32",
    "normal",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_equal_to_sklearn(kind, share):
    rng = np.random.default_rng(KINDS.index(kind))
    for size in (2, 3, 17, 600):
        for _ in range(4):
            labels = rng.random(size) < share
            labels[rng.permutation(size)[:2]] = [True, False]
            scores = draw_scores(rng, kind, size)
            assert auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), **EXACT)
            assert average_precision(scores, labels) == pytest.approx(
                average_precision_score(labels, scores), **EXACT
            )
            assert f1_max(scores, labels) == pytest.approx(sklearn_f1_max(scores, labels), **EXACT)


def test_values_by_hand():
    # Sorted: 4 bad | 3 bad, good | 2 good | 1 bad | 0 good; pairs won 3 + 2.5 + 1 of 9.
    scores, labels = [4, 3, 3, 2, 1, 0], [1, 1, 0, 0, 1, 0]
    assert image_metrics(scores, labels) == {
        "image_auroc": 6.5 / 9,
        "image_ap": pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3 + 1 / 3 * 3 / 5, **EXACT),
        "image_f1_max": pytest.approx(2 * 3 / (2 * 3 + 2), **EXACT),
    }


def test_extremes_are_exact():
    assert auroc([1, 2, 3], [0, 1, 1]) == 1.0
    assert auroc([3, 2, 1], [0, 1, 1]) == 0.0
    assert auroc([7, 7, 7], [0, 1, 1]) == 0.5
    assert average_precision([1, 2, 3], [0, 1, 1]) == 1.0
    assert f1_max([1, 2, 3], [0, 1, 1]) == 1.0
    assert auroc([-0.0, 0.0], [0, 1]) == auroc([0.0, -0.0], [0, 1]) == 0.5


def test_scores_of_other_dtypes_are_not_rounded():
    labels = np.array([0, 1])
    assert auroc(np.array([2**53, 2**53 + 1]), labels) == 1.0
    assert auroc(np.array([1.0, 1.0 + 2**-52]), labels) == 1.0
    assert auroc(np.array([1.0, 1.001], dtype=np.float16), labels) == 1.0
    assert auroc(np.array([3, 200], dtype=np.uint8), labels) == 1.0


def sample_set(seed=0, num_images=6, size=24, levels=None):
    """Maps [N, S, S] with ties where `levels` says so, masks with several regions and none."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((num_images, size, size), dtype=bool)
    for i in range(num_images // 2):
        for _ in range(rng.integers(1, 4)):
            top, left = rng.integers(0, size, 2)
            height, width = rng.integers(1, 7, 2)
            masks[i, top : top + height, left : left + width] = True
    maps = rng.normal(size=masks.shape) + masks
    if levels:
        maps = np.round(maps * levels) / levels
    return maps.astype(np.float32), masks


@pytest.mark.parametrize("levels", [None, 4])
def test_pixel_metrics_are_the_single_ones(levels):
    maps, masks = sample_set(levels=levels)
    together = pixel_metrics(maps, masks)
    assert together["pixel_auroc"] == pytest.approx(
        roc_auc_score(masks.ravel(), maps.ravel()), **EXACT
    )
    assert together == {
        "pixel_auroc": auroc(maps, masks),
        "pixel_ap": average_precision(maps, masks),
        "pixel_f1_max": f1_max(maps, masks),
        "aupro": aupro(maps, masks),
        "pro_rd4ad_per_image": pro_rd4ad(maps, masks),
    }
    assert pixel_metrics(maps, masks, limit=0.05)["aupro"] == aupro(maps, masks, limit=0.05)


@pytest.mark.parametrize("levels", [None, 4])
def test_order_of_images_does_not_matter(levels):
    maps, masks = sample_set(levels=levels)
    order = np.random.default_rng(1).permutation(len(maps))
    assert pixel_metrics(maps[order], masks[order]) == pytest.approx(
        pixel_metrics(maps, masks), **EXACT
    )


@pytest.mark.parametrize("levels", [None, 4])
def test_exact_scaling_changes_nothing(levels):
    maps, masks = sample_set(levels=levels)
    expected = pixel_metrics(maps, masks)
    for exponent in (-60, -1, 1, 60):
        assert pixel_metrics(maps * np.float32(2.0**exponent), masks) == expected


@pytest.mark.parametrize("levels", [None, 4])
def test_strictly_increasing_rescaling_changes_no_ranking_metric(levels):
    maps, masks = sample_set(levels=levels)
    expected = {name: pixel_metrics(maps, masks)[name] for name in RANKED}
    values, place = np.unique(maps, return_inverse=True)
    place = place.reshape(maps.shape)
    jumps = np.cumsum(np.random.default_rng(2).integers(1, 50, len(values)))
    for rescaled in (
        place.astype(np.float32),  # far apart
        (place - 2.0 * len(values)).astype(np.float32),  # all negative
        (jumps[place] * 2.0**-100).astype(np.float32),  # uneven and tiny
        maps.astype(np.float64) ** 3,  # another dtype
    ):
        got = pixel_metrics(rescaled, masks)
        assert {name: got[name] for name in RANKED} == pytest.approx(expected, **EXACT)


def test_inputs_are_left_alone_and_may_be_views():
    maps, masks = sample_set(levels=4)
    expected = pixel_metrics(maps, masks)
    wide_maps, wide_masks = np.repeat(maps, 2, axis=2), np.repeat(masks, 2, axis=2)
    view, view_masks = wide_maps[:, :, ::2], wide_masks[:, :, ::2]
    copy = view.copy()
    assert pixel_metrics(view, view_masks) == expected
    assert np.array_equal(view, copy)
    turned = np.asfortranarray(maps), np.asfortranarray(masks)
    assert pixel_metrics(*turned) == expected
    assert pixel_metrics(maps, masks.astype(np.int64)) == expected
    assert pixel_metrics(maps, masks.astype(np.float32)) == expected


@pytest.mark.parametrize("labels", [[0, 0], [1, 1]])
def test_one_class_is_none(labels):
    assert image_metrics([0.1, 0.2], labels) == dict.fromkeys(
        ["image_auroc", "image_ap", "image_f1_max"]
    )
    maps = np.arange(18, dtype=np.float32).reshape(2, 3, 3)
    masks = np.ones((2, 3, 3), dtype=bool) * np.array(labels, dtype=bool)[:, None, None]
    assert pixel_metrics(maps, masks) == dict.fromkeys([*RANKED, "pro_rd4ad_per_image"])
    assert aupro(maps, masks) is None
    assert pro_rd4ad(maps, masks) is None


def test_empty_set_is_none():
    assert image_metrics([], [])["image_auroc"] is None
    nothing = np.zeros((0, 4, 4), dtype=np.float32)
    assert set(pixel_metrics(nothing, nothing.astype(bool)).values()) == {None}


@pytest.mark.parametrize("metric", [auroc, average_precision, f1_max, image_metrics])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(metric, bad):
    with pytest.raises(ValueError, match="1 of 3 scores are nan or infinite"):
        metric([0.0, bad, 1.0], [0, 0, 1])


@pytest.mark.parametrize("metric", [aupro, pro_rd4ad, pixel_metrics])
def test_maps_that_cannot_be_measured_are_refused(metric):
    maps, masks = sample_set()
    with pytest.raises(ValueError, match="must have the same shape"):
        metric(maps, masks[:, :-1])
    with pytest.raises(ValueError, match="0/1"):
        metric(maps, masks * np.uint8(255))
    with pytest.raises(ValueError, match=r"\[N, H, W\]"):
        metric(maps[0], masks[0])
    with pytest.raises(ValueError, match="real numbers"):
        metric(maps.astype(complex), masks)
    maps[3, 2, 1] = np.nan
    with pytest.raises(ValueError, match="nan or infinite"):
        metric(maps, masks)


@pytest.mark.parametrize("limit", [0.0, -0.1, 1.01, float("nan")])
def test_limits_outside_the_curve_are_refused(limit):
    with pytest.raises(ValueError, match="limit"):
        aupro(*sample_set(), limit=limit)
    with pytest.raises(ValueError, match="limit"):
        pixel_metrics(*sample_set(), limit=limit)


def test_memory_stays_at_a_few_copies_of_the_maps():
    maps, masks = sample_set(num_images=40, size=128)
    pixel_metrics(maps[:2], masks[:2])  # scipy's import is not counted
    tracemalloc.start()
    pixel_metrics(maps, masks)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * maps.nbytes


def test_metrics_need_numpy_only():
    code = "import sys, rdvar_jax.scoring.metrics\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert "numpy" in loaded
    assert not loaded & {"jax", "flax", "sklearn", "scipy", "pandas", "matplotlib", "PIL"}


def test_pixels_that_do_not_count_change_nothing():
    """Padding around each image, at a different place in each, with the highest scores."""
    rng = np.random.default_rng(0)
    maps, masks = rng.random((4, 12, 9)).astype(np.float32), np.zeros((4, 12, 9), bool)
    masks[1, 2:5, 3:6] = masks[2, 9:, 0] = masks[2, :2, :] = True
    wide, valid_mask = np.full((4, 20, 15), 5, np.float32), np.zeros((4, 20, 15), bool)
    wide_masks = np.zeros_like(valid_mask)
    for index, (top, left) in enumerate([(0, 0), (8, 6), (3, 2), (5, 0)]):
        place = index, slice(top, top + 12), slice(left, left + 9)
        wide[place], wide_masks[place], valid_mask[place] = maps[index], masks[index], True
    expected = pixel_metrics(maps, masks)
    assert pixel_metrics(wide, wide_masks, valid_mask=valid_mask) == expected
    assert pixel_metrics(wide, wide_masks) != expected
    assert pixel_metrics(maps, masks, valid_mask=np.ones_like(masks)) == expected


def test_all_that_counts_may_be_defective():
    masks = np.zeros((1, 4, 4), bool)
    masks[:, 1:3] = True
    maps = np.zeros((1, 4, 4), np.float32)
    assert set(pixel_metrics(maps, masks, valid_mask=masks).values()) == {None}
    with pytest.raises(ValueError, match="must be false wherever valid_mask is"):
        pixel_metrics(maps, masks, valid_mask=~masks)
    with pytest.raises(ValueError, match=r"valid_mask must be bool \[1, 4, 4\]"):
        pixel_metrics(maps, masks, valid_mask=masks[0])
