"""Faults in maps, scores, metrics and thresholds, and in how devices share the work."""

from faults.fault import Fault

MAPS = "tests/scoring/test_maps.py"
METRICS = "tests/scoring/test_metrics.py"
REGIONS = "tests/scoring/test_regions.py"
SCORES = "tests/scoring/test_scores.py"
THRESHOLDS = "tests/scoring/test_thresholds.py"

FAULTS = (
    Fault(
        "upsampling by half pixels",
        "rdvar_jax/scoring/maps.py",
        "np.arange(size_out) * ((size_in - 1) / max(size_out - 1, 1))",
        "np.clip((np.arange(size_out) + 0.5) * size_in / size_out - 0.5, 0, size_in - 1)",
        (MAPS,),
    ),
    Fault(
        "blur cut off at three deviations",
        "rdvar_jax/scoring/maps.py",
        "TRUNCATE = 4.0",
        "TRUNCATE = 3.0",
        (MAPS,),
    ),
    Fault(
        "mean over the scales instead of the sum",
        "rdvar_jax/scoring/maps.py",
        "return sum(maps[1:], start=maps[0])",
        "return sum(maps[1:], start=maps[0]) / len(maps)",
        (MAPS,),
    ),
    Fault(
        "STFPM's maps added instead of multiplied",
        "rdvar_jax/scoring/maps.py",
        "product *= _from_both_sides(distance, left, right)",
        "product += _from_both_sides(distance, left, right)",
        (MAPS,),
    ),
    Fault(
        "score is the map's mean",
        "rdvar_jax/scoring/scores.py",
        "scores = pooled(maps, pooling, left_out)",
        "scores = maps.mean(axis=(1, 2))",
        (SCORES,),
    ),
    Fault(
        "ignored pixels count in a score",
        "rdvar_jax/scoring/scores.py",
        "scores = pooled(maps, pooling, left_out)",
        "scores = pooled(maps, pooling)",
        ("tests/scoring/test_pooling.py",),
    ),
    Fault(
        "an image without a large enough region stays defective",
        "rdvar_jax/serving/judgement.py",
        "if thresholds.min_area > 0 and defects == []",
        "if thresholds.min_area > 10**9 and defects == []",
        ("tests/commands/test_image_writer.py",),
    ),
    Fault(
        "a pooled score takes values equal to the k-th once each",
        "rdvar_jax/scoring/pooling.py",
        "above = values > least[:, None]",
        "above = values >= least[:, None]",
        ("tests/scoring/test_pooling.py",),
    ),
    Fault(
        "padding of the last batch taken for images",
        "rdvar_jax/scoring/scores.py",
        "batch_maps[:count]",
        "batch_maps[-count:]",
        (SCORES,),
    ),
    Fault(
        "images of several devices mixed up",
        "rdvar_jax/devices/parallel.py",
        "x.reshape(-1, *x.shape[2:])",
        "x.swapaxes(0, 1).reshape(-1, *x.shape[2:])",
        (SCORES,),
    ),
    Fault(
        "equal scores left out of average precision",
        "rdvar_jax/scoring/curves.py",
        "precision = ranking.found / (ranking.found + ranking.false_at)",
        "precision = ranking.found / (ranking.found + ranking.false_above)",
        (METRICS,),
    ),
    Fault(
        "F1 is that of the lowest threshold",
        "rdvar_jax/scoring/curves.py",
        "np.max(2 * ranking.found / (flagged + ranking.num_positive))",
        "(2 * ranking.found / (flagged + ranking.num_positive))[-1]",
        (METRICS,),
    ),
    Fault(
        "AUPRO's limit ignored",
        "rdvar_jax/scoring/regions.py",
        "end = limit * ranking.num_negative",
        "end = 1.0 * ranking.num_negative",
        (REGIONS,),
    ),
    Fault(
        "equal map values cross the threshold one by one",
        "rdvar_jax/scoring/curves.py",
        "false = np.stack([ranking.false_above, ranking.false_at], axis=1).ravel()",
        "false = np.stack([ranking.false_at, ranking.false_at], axis=1).ravel()",
        (REGIONS,),
    ),
    Fault(
        "regions of masks 4-connected",
        "rdvar_jax/scoring/regions.py",
        "eight_connected = np.ones((3, 3), dtype=bool)",
        "eight_connected = ndimage.generate_binary_structure(2, 1)",
        (REGIONS,),
    ),
    Fault(
        "a pixel equal to the threshold is defective",
        "rdvar_jax/scoring/defects.py",
        "above = anomaly_map > limit",
        "above = anomaly_map >= limit",
        ("tests/scoring/test_defects.py",),
    ),
    Fault(
        "a border that padding adds is measured",
        "rdvar_jax/scoring/all_metrics.py",
        "**pixel_metrics(maps, masks, valid_mask=valid_mask)",
        "**pixel_metrics(maps, masks)",
        ("tests/scoring/test_all_metrics.py",),
    ),
    Fault(
        "rank of the promised false-positive rate off by one",
        "rdvar_jax/scoring/thresholds.py",
        "ordered[n - allowed]",
        "ordered[n - allowed - 1]",
        (THRESHOLDS,),
    ),
)
