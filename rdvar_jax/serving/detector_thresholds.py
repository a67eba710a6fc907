"""Thresholds of a detector's images and pixels, where a user may have given others."""

from rdvar_jax.scoring.pooling import MAX
from rdvar_jax.serving.detector import Detector
from rdvar_jax.serving.judgement import Thresholds
from rdvar_jax.serving.manifest import read_pooling


def complete_by(detector: Detector, given: Thresholds) -> Thresholds:
    """Returns the user's thresholds, completed by the detector's.

    A given threshold of images is also that of pixels if scores are maxima of maps. The pixels that
    never count and the smallest area are always the detector's.
    """
    image, pixel = given.image, given.pixel
    if image is None:
        image = detector.threshold
        pixel = detector.pixel_threshold if pixel is None else pixel
    elif pixel is None and read_pooling(detector.manifest) == MAX:
        pixel = image
    return Thresholds(image, pixel, detector.ignore, detector.min_area)
