"""`Detector`: scores images with a bundle or an ONNX file of `rdvar export`.

It needs only numpy and Pillow, and for bundles jax and safetensors, not the other packages of
training.
"""

import logging
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rdvar_jax.data.pixels.ignore_mask import IgnoreMask, map_on_image
from rdvar_jax.data.pixels.set_remarks import SetRemarks
from rdvar_jax.errors import BundleError
from rdvar_jax.scoring.defects import above_threshold
from rdvar_jax.scoring.finite import refuse_not_finite
from rdvar_jax.scoring.pooling import MAX
from rdvar_jax.serving.manifest import (
    BadContent,
    read_aspects,
    read_geometry,
    read_min_area,
    read_pixel_threshold,
    read_pooling,
    read_threshold,
)
from rdvar_jax.serving.onnx_file import SUFFIX
from rdvar_jax.serving.pictures import as_pictures, pixel_batches
from rdvar_jax.serving.runtimes.choice import choose_onnx_runtime
from rdvar_jax.serving.runtimes.runtime import Runtime
from rdvar_jax.serving.stored_onnx import load_onnx_file

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
        >>> detector = Detector.load("part.rdvar")  # or "part.onnx"
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
        manifest: of the file: run, hashes, versions, the threshold's origin; of an int8 file also
          what its check found.
        runtime: that computes: "jax", "onnxruntime" or "openvino".
    """

    def __init__(
        self,
        manifest: dict[str, Any],
        runtime: Runtime,
        batch: int,
        max_pixels: int | None = None,
        ignore: IgnoreMask | None = None,
    ):
        """Use `Detector.load`.

        Raises:
            BadContent: the manifest has wrong entries.
        """
        self.manifest = manifest
        self.geometry, self.threshold = read_geometry(manifest), read_threshold(manifest)
        self.pixel_threshold = read_pixel_threshold(manifest)
        self.ignore, self.min_area = ignore, read_min_area(manifest)
        if max_pixels is not None:
            reading = replace(self.geometry.reading, max_pixels=max_pixels)
            self.geometry = replace(self.geometry, reading=reading)
        self._remarks = SetRemarks("images", self.geometry, read_aspects(manifest))
        self._batch, self._runtime = batch, runtime
        self.runtime = runtime.name

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        batch_size: int = 8,
        sha256: str | None = None,
        max_pixels: int | None = None,
        runtime: str | None = None,
    ) -> "Detector":
        """Reads a bundle and verifies its hashes, or reads an ONNX file and checks its graph.

        Args:
            path: the file written by `rdvar export`: an ONNX file if it ends in .onnx, else a
              bundle.
            batch_size: images scored at once, at most. Fewer need less memory.
            sha256: expected hash of the file, as printed by `rdvar export`. The hashes inside
              detect damage; only this detects another bundle.
            max_pixels: width times height of a file's image, at most; by default the run's
              `data.max_pixels`.
            runtime: of an ONNX file, "onnxruntime" or "openvino"; by default the first that is
              installed. Bundles run in JAX.

        Raises:
            BundleError: the file is damaged, changed, not a bundle, of a newer format, or cannot be
              run by this version of JAX or on this device, or the runtime is not installed.
            CompilerError: this version of JAX computes wrong numbers on this computer.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        path = Path(path)
        if path.suffix.lower() == SUFFIX:
            load = partial(load_onnx_file, path, sha256, choose_onnx_runtime(runtime))
        elif runtime is not None:
            raise ValueError(f"runtime={runtime!r} is for {SUFFIX} files, unlike {path}")
        else:
            # Imported here, because ONNX files do without JAX.
            from rdvar_jax.serving.bundle import load_bundle

            load = partial(load_bundle, path, sha256, batch_size)
        try:
            manifest, loaded, ignore = load()
            return cls(manifest, loaded, batch_size, max_pixels, ignore)
        except BadContent as error:
            raise BundleError(
                f"{path} cannot be used, because {error}; export the run again with rdvar export."
            ) from error

    def predict(self, images: Any, *, threshold: float | None = None) -> Prediction:
        """Scores images of any size.

        A bundle's program is compiled once for each of 1, 2, 4, ... up to `batch_size` images;
        other numbers are padded to these. ONNX files take any number as it is.

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
        return self._runtime.score(pixels)
