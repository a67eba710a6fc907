"""All metrics together: the border that padding adds, and labels that are not there."""

import numpy as np

from rdvar_jax.scoring.all_metrics import evaluate_maps
from rdvar_jax.scoring.metrics import image_metrics, pixel_metrics

RNG = np.random.default_rng(0)
MAPS = RNG.random((4, 8, 12)).astype(np.float32)
MASKS = RNG.random((4, 8, 12)) < 0.1
MASKS[:, :, :3] = False
LABELS = np.array([0, 0, 1, 1])
SCORES = MAPS.max(axis=(1, 2))


def test_a_border_is_not_measured():
    valid_mask = np.ones_like(MASKS)
    valid_mask[:, :, :3] = False
    expected = {**image_metrics(SCORES, LABELS), **pixel_metrics(MAPS[:, :, 3:], MASKS[:, :, 3:])}
    assert evaluate_maps(MAPS, SCORES, MASKS, LABELS, valid_mask) == expected
    assert evaluate_maps(MAPS, SCORES, MASKS, LABELS) != expected


def test_half_a_set_of_labels_gives_no_metric_of_images():
    metrics = evaluate_maps(MAPS, SCORES, MASKS, np.array([0, -1, 1, 1]))
    assert {metrics[name] for name in image_metrics(SCORES, LABELS)} == {None}
    assert metrics["pixel_auroc"] == pixel_metrics(MAPS, MASKS)["pixel_auroc"]
