"""One bundle that the server scores with."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.ignore_mask import counted_values
from rdvar_jax.data.pixels.set_remarks import SetRemarks
from rdvar_jax.errors import ConfigError, one_line
from rdvar_jax.report.scale import RunningScale
from rdvar_jax.scoring.defects import needs_pixel_threshold
from rdvar_jax.serving.detector import Detector
from rdvar_jax.serving.detector_thresholds import complete_by
from rdvar_jax.serving.judgement import NO_THRESHOLDS, Thresholds
from rdvar_jax.serving.manifest import read_aspects

NO_HEAT, FULL_HEAT = 0.5, 2.0  # as multiples of the pixels' threshold
SCALE_IMAGES = 32  # whose maps give the colours where there is no threshold

_logger = logging.getLogger("rdvar_jax")


class HeatScale:
    """Raw map values of no heat and of full heat, the same for all images of a part.

    With a threshold of pixels: half of it and twice of it, so the colours mean the same from the
    first image on and after each start. Without one: those of the maps of the first images, as in
    `rdvar predict`, which change until there are enough.
    """

    def __init__(self, geometry: Geometry, thresholds: Thresholds):
        self._geometry, self._ignore = geometry, thresholds.ignore
        pixel, self._fixed = thresholds.pixel, None
        if pixel is not None and pixel > 0:
            self._fixed = NO_HEAT * pixel, FULL_HEAT * pixel
        self._lock, self._running, self._left = threading.Lock(), RunningScale(), SCALE_IMAGES

    def note(self, anomaly_map: np.ndarray) -> None:
        """Takes the map [H, W] of one image."""
        if self._fixed is not None:
            return
        with self._lock:
            if self._left > 0:
                self._left -= 1
                values = counted_values(anomaly_map[None], self._geometry, self._ignore)
                self._running.add(values)
                if self._left == 0:
                    self._fixed = self._running.scale()

    def ends(self) -> tuple[float, float]:
        """Returns the two values; some map must have been noted."""
        with self._lock:
            return self._running.scale() if self._fixed is None else self._fixed


@dataclass(frozen=True, eq=False)
class Part:
    """A loaded bundle.

    Attributes:
        name: the file's name without its suffix, made unique.
        detector: scores its images.
        thresholds: what decides about them.
        scale: the colours of its heat.
        remarks: compares images with those of training.
    """

    name: str
    detector: Detector
    thresholds: Thresholds
    scale: HeatScale
    remarks: SetRemarks
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def geometry(self) -> Geometry:
        """Resizing of its images."""
        return self.detector.geometry

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pixels that are scored."""
        return self.geometry.height, self.geometry.width

    def note(self, name: str, facts: Any) -> None:
        """Warns, once, if an image is not like those of training."""
        with self._lock:
            self.remarks.note(name, facts)
            sentences = self.remarks.new()
        for sentence in sentences:
            _logger.warning("%s: %s", self.name, sentence)

    def about(self) -> dict[str, Any]:
        """Describes the part in JSON."""
        height, width = self.size
        return {
            "name": self.name,
            "threshold": self.thresholds.image,
            "pixel_threshold": self.thresholds.pixel,
            "min_area": self.thresholds.min_area,
            "height": height,
            "width": width,
        }

    def compile(self, batch_size: int) -> None:
        """Compiles the program of each batch size, so that no request waits for it."""
        sizes = {min(1 << power, batch_size) for power in range(batch_size.bit_length() + 1)}
        for number in sorted(sizes):
            self.detector.score(np.zeros((number, *self.size, 3), np.uint8))


def load_parts(
    files: Sequence[Path], batch_size: int, given: Thresholds = NO_THRESHOLDS
) -> dict[str, Part]:
    """Loads bundles, by name.

    Args:
        files: the bundles. Those of one name get -2, -3, ... appended.
        batch_size: images scored at once, at most.
        given: thresholds of the user, for all of them.

    Raises:
        UserError: a bundle cannot be used.
    """
    given.check()
    parts: dict[str, Part] = {}
    for file in files:
        detector = Detector.load(file, batch_size=batch_size)
        thresholds = complete_by(detector, given)
        if thresholds.min_area > 0 and thresholds.pixel is None:
            raise ConfigError(needs_pixel_threshold(thresholds.min_area))
        name = _unique(one_line(file.stem), parts)
        geometry = detector.geometry
        parts[name] = Part(
            name,
            detector,
            thresholds,
            HeatScale(geometry, thresholds),
            SetRemarks("images", geometry, read_aspects(detector.manifest)),
        )
    return parts


def _unique(name: str, taken: dict[str, Part]) -> str:
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    return found
