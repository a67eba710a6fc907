"""`Detector`: a bundle of `rdvar export` as a function of images.

It needs jax, numpy, Pillow and safetensors, and nothing else of what training needs.
"""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors.numpy
from jax import export

from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.devices.parallel import compiled
from rdvar_jax.errors import BundleError
from rdvar_jax.serving.archive import PROGRAM, WEIGHTS, read_bundle
from rdvar_jax.serving.pictures import as_pictures, to_pixels


@dataclass(frozen=True)
class Prediction:
    """What a detector finds in N images.

    Attributes:
        scores: [N] float32, raw: higher is more unusual, neither clamped nor rescaled. The largest
          value of the map.
        maps: [N, H, W] float32, raw: where it is unusual. `Detector.geometry.to_original` brings
          one to the size of its image.
        threshold: the score above which an image is called defective, or None where there is none.
        verdicts: [N] bool, true for a defective image; None without a threshold.
    """

    scores: np.ndarray
    maps: np.ndarray
    threshold: float | None
    verdicts: np.ndarray | None


class Detector:
    """Scores images with a trained run that `rdvar export` wrote.

    Example:
        >>> detector = Detector.load("part.rdvar")
        >>> found = detector.predict(["a.png", "b.png"])
        >>> found.scores.shape, found.maps.shape
        ((2,), (2, 256, 256))

    Attributes:
        geometry: how images become H x W pixels, as in training, and how maps go back.
        threshold: of the bundle, or None.
        manifest: what the bundle says of itself: run, hashes, versions, the threshold's origin.
    """

    def __init__(
        self, manifest: dict[str, Any], program: bytes, weights: dict[str, np.ndarray], batch: int
    ):
        """Use `Detector.load`.

        Raises:
            ValueError, KeyError, TypeError: manifest, program and weights do not fit together.
        """
        self.manifest = manifest
        image = manifest["image"]
        self.geometry = Geometry(image["geometry"], image["height"], image["width"])
        threshold = manifest["threshold"]
        self.threshold = None if threshold is None else float(threshold["threshold"])
        self._batch = batch
        exported = export.deserialize(bytearray(program))
        if export.default_export_platform() not in exported.platforms:
            raise ValueError(f"it is for {', '.join(exported.platforms)}")
        images = jax.ShapeDtypeStruct((1, self.geometry.height, self.geometry.width, 3), np.uint8)
        jax.eval_shape(exported.call, weights, images)
        device = jax.local_devices()[0]
        self._weights = jax.device_put(weights, device)
        self._program = compiled(exported.call, platform=device.platform)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, batch_size: int = 8, sha256: str | None = None
    ) -> "Detector":
        """Reads a bundle and checks it against its hashes.

        Args:
            path: the file that `rdvar export` wrote.
            batch_size: images that are scored at once, at most. Fewer take less memory.
            sha256: what the file must have, as `rdvar export` printed it. The hashes inside show
              damage; only this shows that a file is the one that was meant.

        Raises:
            BundleError: the file is damaged, changed, no bundle, of a newer format, or cannot be
              run by this version of JAX or on this device.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        path = Path(path)
        manifest, members = read_bundle(path, sha256)
        try:
            weights = safetensors.numpy.load(members[WEIGHTS])
            return cls(manifest, members[PROGRAM], weights, batch_size)
        # Everything: hashes are right, so this is a program of another JAX, or one for other
        # devices, and jax.export says so with many kinds of exceptions.
        except Exception as error:
            made = manifest.get("versions", {}).get("jax", "another version")
            raise BundleError(
                f"{path} cannot be run by jax {jax.__version__} on {jax.default_backend()} "
                f"({_first_line(error)}); it was made with jax {made}: use that version, or export "
                "again with this one."
            ) from error

    def predict(self, images: Any, *, threshold: float | None = None) -> Prediction:
        """Scores images of any size.

        The compiled program is for a number of images: a first call with another number compiles
        again, for 1, 2, 4, ... up to `batch_size` images. All others are filled up to these.

        Args:
            images: N of them: a uint8 array [N, h, w, 3], or a sequence of uint8 arrays [h, w, 3]
              in RGB or [h, w] in grey, of pictures of Pillow's, or of paths. Sizes may differ. One
              alone is taken as a sequence of one.
            threshold: takes the place of the bundle's.

        Returns:
            Scores [N] and maps [N, H, W], float32 numpy, and verdicts [N] where there is a
            threshold.

        Raises:
            DataError: an image cannot be read or is none.
        """
        if threshold is None:
            threshold = self.threshold
        elif math.isnan(threshold):
            raise ValueError("the threshold is not a number")
        pictures = as_pictures(images)
        geometry, count = self.geometry, len(pictures)
        maps = np.empty((count, geometry.height, geometry.width), np.float32)
        scores = np.empty(count, np.float32)
        for start in range(0, count, self._batch):
            pixels = to_pixels(pictures[start : start + self._batch], geometry)
            stop = start + len(pixels)
            maps[start:stop], scores[start:stop] = self._score(pixels)
        verdicts = None if threshold is None else scores > np.float32(threshold)
        return Prediction(scores, maps, threshold, verdicts)

    def _score(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        count = len(pixels)
        padded = min(1 << (count - 1).bit_length(), self._batch)
        pixels = np.pad(pixels, ((0, padded - count), (0, 0), (0, 0), (0, 0)))
        maps, scores = jax.device_get(self._program(self._weights, pixels))
        return maps[:count], scores[:count]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
