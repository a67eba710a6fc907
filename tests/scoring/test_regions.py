"""Per-region overlap against slow versions that loop over thresholds and flood-fill regions."""

from typing import Any

import numpy as np
import pytest

from rdvar_jax.scoring.metrics import aupro, pixel_metrics, pro_rd4ad
from rdvar_jax.scoring.regions import find_regions

EXACT: dict[str, Any] = {"rel": 1e-12, "abs": 1e-12}


def flood_fill_regions(mask):
    """8-connected regions of one bool mask, each as a list of (row, column)."""
    left = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    regions = []
    while left:
        region, frontier = [], [left.pop()]
        while frontier:
            row, column = frontier.pop()
            region.append((row, column))
            for near in [(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]:
                if near in left:
                    left.remove(near)
                    frontier.append(near)
        regions.append(region)
    return regions


def slow_aupro(maps, masks, limit):
    """Every distinct score as a threshold, from the highest; area by single trapezoids."""
    regions = [(i, region) for i in range(len(maps)) for region in flood_fill_regions(masks[i])]
    xs, ys = [0.0], [0.0]
    for threshold in sorted(set(maps.ravel().tolist()), reverse=True):
        flagged = maps >= threshold
        xs.append((flagged & ~masks).sum() / (~masks).sum())
        overlaps = [sum(flagged[i][at] for at in region) / len(region) for i, region in regions]
        ys.append(sum(overlaps) / len(overlaps))
    area = 0.0
    for k in range(1, len(xs)):
        if xs[k] <= limit:
            area += (xs[k] - xs[k - 1]) * (ys[k] + ys[k - 1]) / 2
        else:
            at_limit = ys[k - 1] + (ys[k] - ys[k - 1]) * (limit - xs[k - 1]) / (xs[k] - xs[k - 1])
            area += (limit - xs[k - 1]) * (at_limit + ys[k - 1]) / 2
            break
    return area / limit


def slow_pro_rd4ad(maps, masks):
    """RD4AD's definition, row by row, without its degenerate cases."""
    values = []
    for anomaly_map, mask in zip(maps, masks, strict=True):
        if not mask.any():
            continue
        low, high = anomaly_map.min(), anomaly_map.max()
        rows = []
        for threshold in np.arange(low, high, (high - low) / 200):
            binary = anomaly_map > threshold
            overlaps = [
                np.mean([binary[at] for at in region]) for region in flood_fill_regions(mask)
            ]
            fpr = (binary & ~mask).sum() / (~mask).sum()
            if fpr < 0.3:
                rows.append((fpr, np.mean(overlaps)))
        largest = max(fpr for fpr, _ in rows)
        area = 0.0
        for (fpr, overlap), (next_fpr, next_overlap) in zip(rows[:-1], rows[1:], strict=True):
            area += (fpr - next_fpr) / largest * (overlap + next_overlap) / 2
        values.append(area)
    return np.mean(values)


def random_set(seed, levels, num_images=3, size=12):
    """Blobs that may touch, overlap, cross the border or be one pixel; the last image is good."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((num_images, size, size), dtype=bool)
    for i in range(num_images - 1):
        for _ in range(rng.integers(1, 5)):
            top, left = rng.integers(-2, size, 2)
            height, width = rng.integers(1, 6, 2)
            masks[i, max(top, 0) : max(top + height, 1), max(left, 0) : max(left + width, 1)] = True
    maps = rng.normal(size=masks.shape) + rng.choice([0.0, 1.0, 3.0]) * masks
    if levels:
        maps = np.round(maps * levels) / levels
    return maps.astype(np.float32), masks


@pytest.mark.parametrize("levels", [None, 8, 1, 0.5])
@pytest.mark.parametrize("seed", range(6))
def test_aupro_equals_a_loop_over_all_thresholds(seed, levels):
    maps, masks = random_set(seed, levels)
    for limit in (0.01, 0.3, 0.77, 1.0):
        assert aupro(maps, masks, limit) == pytest.approx(slow_aupro(maps, masks, limit), **EXACT)


def test_aupro_by_hand():
    masks = np.array([[1, 0, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 0, 1, 1]], dtype=bool)[None]
    maps = np.array([[9, 5, 5, 5, 5], [5, 1, 0, 0, 0], [0, 0, 0, 0, 5]], dtype=np.float32)[None]
    # Three regions and 10 defect-free pixels. One region is found first, then half of another
    # ties with 5 defect-free pixels: (0, 0), (0, 1/3), (0.5, 1/2), and at 0.3 the height is
    # 1/3 + 0.6 / 6.
    assert aupro(maps, masks) == pytest.approx((1 / 3 + (1 / 3 + 0.1)) / 2, **EXACT)


def test_extremes_are_exact():
    rng = np.random.default_rng(0)
    masks = rng.random((4, 30, 30)) < 0.2
    perfect = (rng.random(masks.shape) + 2 * masks).astype(np.float32)
    assert pixel_metrics(perfect, masks)["aupro"] == 1.0
    assert aupro(-perfect, masks) == 0.0
    # A constant map is the diagonal: mean height up to 0.3 is 0.15.
    assert aupro(np.ones_like(perfect), masks) == pytest.approx(0.15, **EXACT)
    for limit in rng.uniform(0.001, 1, 200):
        area = aupro(perfect, masks, limit)
        assert area is not None and area <= 1.0


def test_regions_touch_at_corners_but_not_across_images():
    mask = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0], [1, 1, 0, 1]], dtype=bool)
    masks = np.stack([mask, np.zeros_like(mask), np.ones_like(mask), mask])
    found = find_regions(masks)
    # Row-major labels: the diagonal pair, the top right pixel, the bottom pair, the last pixel.
    assert found.sizes.tolist() == [2, 1, 2, 1, 16, 2, 1, 2, 1]
    assert found.region.tolist() == [0, 1, 0, 2, 2, 3] + [4] * 16 + [5, 6, 5, 7, 7, 8]


@pytest.mark.parametrize("seed", range(20))
def test_regions_equal_a_flood_fill(seed):
    masks = np.random.default_rng(seed).random((3, 9, 7)) < 0.3
    found = find_regions(masks)
    number = np.full(masks.shape, -1)
    number[masks] = found.region
    expected = [
        {(i, *at) for at in region} for i in range(3) for region in flood_fill_regions(masks[i])
    ]
    got = [
        {tuple(at) for at in np.argwhere(number == region).tolist()}
        for region in range(len(found.sizes))
    ]
    assert sorted(map(sorted, got)) == sorted(map(sorted, expected))
    assert found.sizes.tolist() == [len(region) for region in got]


def test_a_small_region_weighs_as_much_as_a_large_one():
    masks = np.zeros((1, 20, 20), dtype=bool)
    masks[0, :5] = True
    masks[0, 19, 19] = True
    maps = np.zeros((1, 20, 20), dtype=np.float32)
    maps[0, 19, 19] = 1.0
    one_pixel_found = aupro(maps, masks)
    maps = np.zeros((1, 20, 20), dtype=np.float32)
    maps[0, :5] = 1.0
    assert aupro(maps, masks) == pytest.approx(one_pixel_found, **EXACT)


@pytest.mark.parametrize("levels", [None, 8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(6))
def test_pro_rd4ad_equals_a_loop_over_its_rows(seed, dtype, levels):
    maps, masks = random_set(seed, levels)
    maps = (maps * np.float32(1.1)).astype(dtype)
    assert pro_rd4ad(maps, masks) == pytest.approx(slow_pro_rd4ad(maps, masks), **EXACT)


def test_pro_rd4ad_of_integers_is_that_of_floats():
    maps, masks = random_set(0, levels=1)
    coarse = np.round(maps * 9).astype(np.int8)
    coarse[:, 0, :2] = -128, 127  # their difference is not an int8
    assert pro_rd4ad(coarse, masks) == pro_rd4ad(coarse.astype(np.float64), masks)


def test_pro_rd4ad_is_another_quantity_than_aupro():
    rng = np.random.default_rng(0)
    masks = np.zeros((8, 40, 40), dtype=bool)
    masks[:4, 10:20, 10:20] = True
    # Images on different levels: one threshold for all is worse than one for each.
    level = 2 * np.arange(8)[:, None, None]
    maps = rng.normal(size=masks.shape) + 3 * masks + level
    exact, printed = aupro(maps, masks), pro_rd4ad(maps, masks)
    assert exact is not None and printed is not None and printed > exact + 0.1
    assert pro_rd4ad(maps[:4], masks[:4]) == printed  # good images do not count
    assert pro_rd4ad(maps - level, masks) == pytest.approx(printed, **EXACT)


class TestPROOfRD4ADWhereItsCodeFails:
    mask = np.zeros((1, 10, 10), dtype=bool)
    mask[0, :2] = True

    def test_constant_map_counts_zero(self):
        assert pro_rd4ad(np.full((1, 10, 10), 0.7, dtype=np.float32), self.mask) == 0.0

    def test_false_positive_rate_that_stays_high_counts_zero(self):
        maps = np.zeros((1, 10, 10), dtype=np.float32)
        maps[0, :6] = 1.0  # half of the defect-free pixels are at the maximum
        assert pro_rd4ad(maps, self.mask) == 0.0

    def test_perfect_map_counts_its_best_overlap(self):
        # The very first threshold is the minimum itself, and defect-free pixels do not exceed it.
        assert pro_rd4ad(self.mask.astype(np.float32), self.mask) == 1.0
        half = np.zeros((1, 10, 10), dtype=np.float32)
        half[0, 0] = 1.0
        assert pro_rd4ad(half, self.mask) == 0.5

    def test_one_row_has_no_width_and_counts_zero(self):
        # Only the last threshold passes fewer than 30 % of the defect-free pixels.
        maps = np.full((1, 10, 10), 199.5, dtype=np.float64)
        maps[0, 9, 9], maps[0, 0], maps[0, 8] = 0.0, 200.0, 200.0
        maps[0, 1] = 199.5
        assert pro_rd4ad(maps - 0.7, self.mask) == 0.0

    def test_image_without_defect_free_pixels_is_left_out(self):
        maps, masks = random_set(3, levels=None)
        full = np.ones((1, 12, 12), dtype=bool)
        more_maps = np.concatenate([maps[:1], maps])
        more_masks = np.concatenate([full, masks])
        assert pro_rd4ad(more_maps, more_masks) == pro_rd4ad(maps, masks)
        assert pro_rd4ad(maps[:1], full) is None

    def test_smallest_range_of_floats(self):
        maps = np.zeros((1, 10, 10), dtype=np.float32)
        maps[0, 0] = np.float32(1e-45)  # the step underflows to 0
        assert pro_rd4ad(maps, self.mask) == 0.0
        maps = np.ones((1, 10, 10), dtype=np.float32)
        maps[0, 0] += np.float32(2**-23)  # all thresholds round to the minimum
        assert pro_rd4ad(maps, self.mask) == 0.5
