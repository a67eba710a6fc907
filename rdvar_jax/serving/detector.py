"""`Detector`: scores images with a bundle of `rdvar export`.

It needs only jax, numpy, Pillow and safetensors, not the other packages of training.
"""

import hashlib
import logging
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors.numpy
from jax import export

from rdvar_jax.data.pixels.ignore_mask import IgnoreMask, map_on_image
from rdvar_jax.data.pixels.set_remarks import SetRemarks
from rdvar_jax.devices.compiler import compiled
from rdvar_jax.devices.forked import refuse_in_fork
from rdvar_jax.errors import BundleError, CompilerError, one_line
from rdvar_jax.scoring.defects import above_threshold
from rdvar_jax.scoring.finite import refuse_not_finite
from rdvar_jax.scoring.pooling import MAX
from rdvar_jax.serving.archive import IGNORE, PROGRAM, WEIGHTS, read_bundle
from rdvar_jax.serving.manifest import (
    BadContent,
    jax_version,
    read_aspects,
    read_geometry,
    read_ignore,
    read_min_area,
    read_pixel_threshold,
    read_pooling,
    read_threshold,
)
from rdvar_jax.serving.pictures import as_pictures, pixel_batches
from rdvar_jax.weights.printable import printable

_logger = logging.getLogger("rdvar_jax")


@dataclass(frozen=True)
class Prediction:
    """Results of a detector for N images.

    Attributes:
        scores: [N] float32, the maximum of each map, or the mean of its highest pixels where the
          run's `score.pooling` says so; raw, neither clamped nor rescaled: higher is more unusual.
        maps: [N, H, W] float32, raw. `Detector.geometry.to_original` resizes one to its image.
        threshold: the score above which an image is classified as defective, or None.
        verdicts: [N] bool, true for a defective image: its score is above the threshold, and a
          region has `Detector.min_area` pixels; None without a threshold.
        names: of the N images: for files of a folder as in `rdvar predict`, for other files as
          they were passed, else "image 0", ...
    """

    scores: np.ndarray
    maps: np.ndarray
    threshold: float | None
    verdicts: np.ndarray | None
    names: Sequence[str]


class Detector:
    """Scores images with a trained run exported by `rdvar export`.

    Example:
        >>> detector = Detector.load("part.rdvar")
        >>> found = detector.predict(["a.png", "b.png"])
        >>> found.scores.shape, found.maps.shape
        ((2,), (2, 256, 256))

    Attributes:
        geometry: resizing of images to H x W pixels, as in training, and of maps back.
        threshold: of the bundle, or None.
        pixel_threshold: of the bundle: a pixel is defective if its map is above it; None if the
          bundle has none.
        ignore: pixels of every image that never count, where maps are 0; None if all count.
        min_area: pixels that a region has at least, at the image's own size.
        manifest: of the bundle: run, hashes, versions, the threshold's origin.
    """

    def __init__(
        self,
        manifest: dict[str, Any],
        program: bytes,
        weights: dict[str, np.ndarray],
        batch: int,
        max_pixels: int | None = None,
        ignore: IgnoreMask | None = None,
    ):
        """Use `Detector.load`.

        Raises:
            ValueError, KeyError, TypeError: manifest, program and weights do not fit together.
        """
        self.manifest = manifest
        self.geometry, self.threshold = read_geometry(manifest), read_threshold(manifest)
        self.pixel_threshold = read_pixel_threshold(manifest)
        self.ignore, self.min_area = ignore, read_min_area(manifest)
        if max_pixels is not None:
            reading = replace(self.geometry.reading, max_pixels=max_pixels)
            self.geometry = replace(self.geometry, reading=reading)
        self._remarks = SetRemarks("images", self.geometry, read_aspects(manifest))
        for name, array in weights.items():
            if not np.isfinite(array).all():
                raise BadContent(f"its weights {printable(name)} are not finite")
        self._batch = batch
        exported = export.deserialize(bytearray(program))
        if export.default_export_platform() not in exported.platforms:
            raise ValueError(f"it was exported for {', '.join(exported.platforms)}")
        self._check_shapes(exported, weights)
        device = jax.local_devices()[0]
        self._weights = jax.device_put(weights, device)
        made_from = f"exported {hashlib.sha256(program).hexdigest()}"
        self._program = compiled(exported.call, platform=device.platform, made_from=made_from)

    def _check_shapes(self, exported: export.Exported, weights: dict[str, np.ndarray]) -> None:
        """Raises an exception if the program does not take the images or returns other arrays."""
        size = self.geometry.height, self.geometry.width
        for count in (1, 2):
            images = jax.ShapeDtypeStruct((count, *size, 3), np.uint8)
            found = jax.tree.map(
                lambda x: (x.shape, x.dtype.name), jax.eval_shape(exported.call, weights, images)
            )
            if found != (((count, *size), "float32"), ((count,), "float32")):
                raise BadContent("its program does not return maps and scores of its images")

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        batch_size: int = 8,
        sha256: str | None = None,
        max_pixels: int | None = None,
    ) -> "Detector":
        """Reads a bundle and verifies its hashes.

        Args:
            path: the file written by `rdvar export`.
            batch_size: images scored at once, at most. Fewer need less memory.
            sha256: expected hash of the file, as printed by `rdvar export`. The hashes inside
              detect damage; only this detects another bundle.
            max_pixels: width times height of a file's image, at most; by default the run's
              `data.max_pixels`.

        Raises:
            BundleError: the file is damaged, changed, not a bundle, of a newer format, or cannot be
              run by this version of JAX or on this device.
            CompilerError: this version of JAX computes wrong numbers on this computer.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        refuse_in_fork()
        path = Path(path)
        manifest, members = read_bundle(path, sha256)
        try:
            weights = safetensors.numpy.load(members[WEIGHTS])
            ignore = read_ignore(members.get(IGNORE))
            return cls(manifest, members[PROGRAM], weights, batch_size, max_pixels, ignore)
        except BadContent as error:
            raise BundleError(
                f"{path} cannot be used, because {error}; export the run again with rdvar export."
            ) from error
        except CompilerError:
            raise
        # Everything: the hashes are right, so the program is from another JAX or for other
        # devices, which jax.export reports with many kinds of exceptions.
        except Exception as error:
            made = jax_version(manifest) or "another version"
            raise BundleError(
                f"{path} cannot be run by jax {jax.__version__} on {jax.default_backend()} "
                f"({_first_line(error)}); it was made with jax {made}: use that version, or export "
                "again with this one."
            ) from error

    def predict(self, images: Any, *, threshold: float | None = None) -> Prediction:
        """Scores images of any size.

        The program is compiled once for each of 1, 2, 4, ... up to `batch_size` images; other
        numbers are padded to these.

        Args:
            images: a uint8 array [N, h, w, 3], or a sequence of uint8 arrays [h, w, 3] in RGB or
              [h, w] in grey, of Pillow images, or of paths. Sizes may differ. A single image is
              treated as a sequence of one. A folder, or a pattern such as "photos/*.png", stands
              for its images, at any depth and in the order of `rdvar predict`.
            threshold: replaces the bundle's, and that of its pixels too if scores are maxima.

        A logged warning says once if the images' grey values or aspect are not those of training.

        Returns:
            Scores [N] and maps [N, H, W], float32 numpy, and verdicts [N] if there is a threshold.

        Raises:
            DataError: an image cannot be read or is not an image, or its score is not finite.
        """
        pixel_threshold = self.pixel_threshold
        if threshold is None:
            threshold = self.threshold
        elif math.isnan(threshold):
            raise ValueError("threshold must be a number, not nan")
        elif read_pooling(self.manifest) == MAX:
            pixel_threshold = threshold
        pictures, names = as_pictures(images)
        geometry, count = self.geometry, len(pictures)
        maps = np.empty((count, geometry.height, geometry.width), np.float32)
        scores = np.empty(count, np.float32)
        sizes_wh: list[tuple[int, int]] = []
        for pixels, sizes in pixel_batches(pictures, geometry, self._remarks, self._batch):
            start, stop = len(sizes_wh), len(sizes_wh) + len(pixels)
            sizes_wh += sizes
            maps[start:stop], scores[start:stop] = self.score(pixels)
            refuse_not_finite(names[start:stop], scores[start:stop])
        for sentence in self._remarks.new():
            _logger.warning("%s", sentence)
        verdicts = None if threshold is None else scores > np.float32(threshold)
        if verdicts is not None and pixel_threshold is not None and self.min_area > 0:
            for index in np.flatnonzero(verdicts):
                verdicts[index] = self._has_region(maps[index], sizes_wh[index], pixel_threshold)
        return Prediction(scores, maps, threshold, verdicts, names)

    def _has_region(
        self, anomaly_map: np.ndarray, size_wh: tuple[int, int], pixel_threshold: float
    ) -> bool:
        full = map_on_image(anomaly_map, self.geometry, (size_wh[1], size_wh[0]), self.ignore)
        highest = float(anomaly_map.max())
        return bool(above_threshold(full, pixel_threshold, highest, self.min_area).any())

    def score(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores images that `Detector.geometry` has brought to H x W.

        Args:
            pixels: uint8 [N, H, W, 3], N at most `batch_size`.

        Returns:
            Maps [N, H, W] and scores [N], float32 numpy.
        """
        count = len(pixels)
        padded = min(1 << (count - 1).bit_length(), self._batch)
        pixels = np.pad(pixels, ((0, padded - count), (0, 0), (0, 0), (0, 0)))
        maps, scores = jax.device_get(self._program(self._weights, pixels))
        return maps[:count], scores[:count]


def _first_line(error: Exception) -> str:
    return one_line((str(error).splitlines() or [type(error).__name__])[0])[:300]
