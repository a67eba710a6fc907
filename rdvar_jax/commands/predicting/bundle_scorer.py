"""Scores images with a file of `rdvar export`, without the packages of training."""

import hashlib
import logging
from pathlib import Path

from rdvar_jax.commands.predicting.scorer import Load, Scorer
from rdvar_jax.commands.predicting.threshold_words import threshold_words
from rdvar_jax.data.pixels.set_remarks import SetRemarks
from rdvar_jax.serving.detector import Detector
from rdvar_jax.serving.detector_thresholds import complete_by
from rdvar_jax.serving.judgement import Thresholds
from rdvar_jax.serving.manifest import read_aspects

logger = logging.getLogger("rdvar_jax")

_WAY_OUT = "give --threshold, or export the run again after rdvar threshold"


def bundle_scorer(
    path: Path, *, batch_size: int = 8, scale: tuple[float, float] | None = None
) -> Load:
    """Returns what loads a bundle or an ONNX model.

    Args:
        path: the file.
        batch_size: images scored at once, at most.
        scale: the colour scale; a bundle has none.
    """

    def load(given: Thresholds) -> Scorer:
        detector = Detector.load(path, batch_size=batch_size)
        geometry, manifest = detector.geometry, detector.manifest
        thresholds = complete_by(detector, given)
        if thresholds.image is None:
            logger.info("no verdicts: %s has no threshold; %s", path, _WAY_OUT)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Scorer(
            geometry,
            batch_size,
            detector.score,
            thresholds,
            scale,
            SetRemarks("images", geometry, read_aspects(manifest)),
            {"bundle": path.name, "bundle_sha256": sha256, "run": manifest.get("run", {})},
            f"Bundle {path.name}",
            threshold_words(given, manifest["threshold"], _WAY_OUT),
        )

    return load
