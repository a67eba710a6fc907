"""Contents of an evaluated run's files: a small set with hostile names."""

import copy
import functools

import numpy as np

from rdvar_jax.report.gallery import make_gallery
from rdvar_jax.report.page.render import NextSteps
from rdvar_jax.scoring.points import curve_points
from rdvar_jax.scoring.thresholds import best_f1_threshold

LONG = "a_kind_of_defect_with_one_long_name_" * 3
MEAN = {
    "method": "mean",
    "split": "folds",
    "folds": {"shifts": [-0.07, -0.03, 0.01], "factor": 2 / 3},
    "num_images": 64,
    "num_above": 3,
    "target_fpr": 0.05,
    "mean_rate": 0.0462,
    "rate_low": 0.012,
    "rate_high": 0.103,
    "fpr_bound": None,
    "confidence": None,
}
NEXT_STEPS = NextSteps(
    threshold="rdvar threshold --workdir '/x/a run' --input GOOD_PHOTOS",
    evaluate="rdvar evaluate --workdir '/x/a run'",
    report="rdvar report --workdir '/x/a run'",
    test_folder="/x/data/part/test",
)
NASTY = '<script>alert("1")</script> & \' ü'


def sample_page(labelled=True, masked=True, defective=True, good=True, threshold=0.5) -> dict:
    """Arguments of `render_page` for 6 good and 6 defective images of 64 px, or as far as said."""
    return copy.deepcopy(_made(labelled, masked, defective, good, threshold))


@functools.cache
def _made(labelled, masked, defective, good, threshold) -> dict:
    rng = np.random.default_rng(0)
    labels = np.array([int(not good)] * 6 + [int(defective)] * 6)
    both = labelled and good and defective
    scores = 0.3 + 0.2 * labels + np.linspace(0, 0.15, 12)
    scores[:2], scores[-1] = (0.31, 0.67), 0.2  # at the threshold 0.5 a false alarm and a miss
    scores = scores.astype(np.float32)
    masked = masked and labelled
    masks = np.zeros((12, 64, 64), bool)
    if masked:
        masks[labels == 1, 20:40, 20:40] = True
    images = rng.integers(90, 160, (12, 64, 64, 3), np.uint8)
    maps = (rng.random((12, 64, 64)) * 0.2 + 0.5 * masks).astype(np.float32)
    kinds = [
        "good" if label == 0 else ("cut" if i % 2 else NASTY) for i, label in enumerate(labels)
    ]
    oracle = best_f1_threshold(scores, labels) if both else None
    counts = {"num_found": 5, "num_defective": 6, "num_false": 1, "num_good": 6, "f1": 0.833}
    shown = labels if labelled else None
    return {
        "results": {
            "metrics": {
                "image_auroc": 0.861 if both else None,
                "pixel_auroc": 0.978 if both and masked else None,
                "aupro": 0.912 if both and masked else None,
            },
            "thresholds": {
                "stored": None,
                "oracle_f1": None if oracle is None else {"threshold": oracle, **counts},
            },
            "category": NASTY,
            "num_images": 12,
            "num_good": int(np.sum(labels == 0)) if labelled else 0,
            "num_defective": int(np.sum(labels == 1)) if labelled else 0,
            "undefined": {} if both and masked else {"pixel": "the reason"},
            "checkpoint": "latest",
            "chosen_by": "last step",
            "epoch": 4,
            "step": 40,
            "seed": 0,
            "lambda_var": 0.1,
            "teacher": {"arch": "resnet18", "sha256": "0" * 64, "source_sha256": "1" * 64},
            "imported": None,
            "checkpoint_sha256": "2" * 64,
            "color_scale": [0.1, 0.7],
            "versions": {"rdvar_jax": "0.1", "python": "3.11"},
            "device": "cpu",
        },
        "evaluation": {
            "settings": {"data.image_size": 64, "data.root": f"/x/{NASTY}", "loss.stages": ["d1"]},
            "curves": curve_points(maps, scores, masks, labels if labelled else labels - 1),
            "gallery": make_gallery(
                images, masks if masked else None, maps, scores, shown, (0.1, 0.7)
            ),
        },
        "rows": [
            {
                "path": f"test/{kind}/{i:03}.png",
                "label": int(labels[i]) if labelled else None,
                "defect": kind if labelled else "",
                "score": float(scores[i]),
            }
            for i, kind in enumerate(kinds)
        ],
        "threshold": None
        if threshold is None
        else {
            "threshold": threshold,
            "split": "input",
            "num_images": 60,
            "fpr_bound": 0.0487,
            "confidence": 0.95,
        },
        "aurocs": {"cut": 0.912, NASTY: 0.843} if both else {},
        "log": [
            {"kind": "epoch", "step": 10 * e, "epoch": e, "loss_model": 3 / e**2, "loss_var": 0.2}
            for e in range(1, 5)
        ],
        "next_steps": NEXT_STEPS,
    }


def untested_page(threshold=None) -> dict:
    """Arguments of `render_page` for a run without an evaluation."""
    sample = sample_page()
    results = sample["results"] | {"metrics": {}, "num_images": 0, "num_good": 0}
    results |= {"num_defective": 0, "device": None, "versions": {"rdvar_jax": "0.1"}}
    results["thresholds"] = {"stored": None, "oracle_f1": None}
    curves = dict.fromkeys(("image_roc", "pixel_roc", "pro"))
    evaluation = sample["evaluation"] | {"curves": curves, "gallery": []}
    changed = {"results": results, "evaluation": evaluation, "rows": [], "threshold": threshold}
    return sample | changed | {"aurocs": {}}
