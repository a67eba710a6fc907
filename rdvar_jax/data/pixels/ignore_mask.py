"""Pixels of all images that never count, from one picture: fixtures, edges, printed dates."""

import hashlib
import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.mask_file import load_mask
from rdvar_jax.data.pixels.reading import Reading
from rdvar_jax.data.sets.records import ImageFile

_DEFAULT = Reading()


@dataclass(frozen=True)
class IgnoreMask:
    """Pixels that never count, at the size of the picture that marked them; can be hashed.

    Attributes:
        height: of the picture.
        width: of the picture.
        packed: bool [height, width], true where ignored, from `np.packbits`.
    """

    height: int
    width: int
    packed: bytes

    @classmethod
    def of(cls, ignored: np.ndarray) -> "IgnoreMask":
        """Makes one of bool [height, width], true where ignored."""
        height, width = ignored.shape
        return cls(height, width, np.packbits(ignored).tobytes())

    @classmethod
    def read(cls, path: ImageFile, reading: Reading = _DEFAULT) -> "IgnoreMask":
        """Reads a picture of any kind that masks may have: all but black is ignored.

        Raises:
            DataError: the file cannot be read as a picture.
        """
        return cls.of(np.asarray(load_mask(path, reading=reading).grey) > 0)

    @property
    def pixels(self) -> np.ndarray:
        """Bool [height, width], true where ignored."""
        count = self.height * self.width
        bits = np.unpackbits(np.frombuffer(self.packed, np.uint8), count=count)
        return bits.reshape(self.height, self.width).astype(bool)

    @property
    def sha256(self) -> str:
        """Of size and pixels, whatever the file that held them."""
        return hashlib.sha256(f"{self.height} {self.width} ".encode() + self.packed).hexdigest()

    def png(self) -> bytes:
        """Returns a grey PNG, 255 where ignored."""
        content = io.BytesIO()
        Image.fromarray(self.pixels.astype(np.uint8) * 255).save(content, "PNG")
        return content.getvalue()

    def on_map(self, geometry: Geometry, size_wh: tuple[int, int] | None = None) -> np.ndarray:
        """Brings it to the size of maps: a pixel is ignored if any part of it is.

        Args:
            geometry: of the run.
            size_wh: of the image, for tiled geometries, whose maps have that size.

        Returns:
            Bool [H, W], read-only; false in padding.
        """
        return _on_map(self, geometry, size_wh if geometry.is_tiled else None)

    def on_image(self, geometry: Geometry, shape: tuple[int, int]) -> np.ndarray:
        """Returns the pixels of an image whose centres are in ignored pixels of its map.

        They include all that are marked in a mask of the image's size.

        Args:
            geometry: of the run.
            shape: height and width of the image.

        Returns:
            Bool [height, width], read-only; false where it was cropped away.
        """
        return _on_image(self, geometry, shape)


def map_on_image(
    anomaly_map: np.ndarray, geometry: Geometry, shape: tuple[int, int], ignore: IgnoreMask | None
) -> np.ndarray:
    """Resizes a map to the size of its image, to look for regions.

    Args:
        anomaly_map: float32 [H, W].
        geometry: of the run.
        shape: height and width of the image.
        ignore: pixels that never count; None if all do.

    Returns:
        float32 [height, width], -inf where the image was cropped away or is ignored.
    """
    full = geometry.to_original(anomaly_map, shape, outside=-np.inf)
    if ignore is not None:
        full[ignore.on_image(geometry, shape)] = -np.inf
    return full


def counted_values(maps: np.ndarray, geometry: Geometry, ignore: IgnoreMask | None) -> np.ndarray:
    """Returns the values of maps [N, H, W] that count, [N, H, W] or [N, number]."""
    if ignore is None:
        return maps
    return maps[:, ~ignore.on_map(geometry, (maps.shape[2], maps.shape[1]))]


@lru_cache(maxsize=8)
def _on_map(mask: IgnoreMask, geometry: Geometry, size_wh: tuple[int, int] | None) -> np.ndarray:
    if geometry.is_tiled:
        assert size_wh is not None
        geometry = Geometry("squash", size_wh[1], size_wh[0])
    source, target = geometry.boxes((mask.width, mask.height))
    touched = mask.pixels[source.slices]
    for axis, size in enumerate(target.size_wh[::-1]):
        touched = _any_touched(touched, size, axis)
    result = np.zeros((geometry.height, geometry.width), bool)
    result[target.slices] = touched
    result.flags.writeable = False
    return result


@lru_cache(maxsize=8)
def _on_image(mask: IgnoreMask, geometry: Geometry, shape: tuple[int, int]) -> np.ndarray:
    height, width = shape
    on_map = mask.on_map(geometry, (width, height))
    if geometry.is_tiled:
        return on_map
    source, target = geometry.boxes((width, height))
    rows, columns = (
        (2 * np.arange(seen) + 1) * of_map // (2 * seen)
        for seen, of_map in zip(source.size_wh[::-1], target.size_wh[::-1], strict=True)
    )
    result = np.zeros(shape, bool)
    result[source.slices] = on_map[target.slices][np.ix_(rows, columns)]
    result.flags.writeable = False
    return result


def _any_touched(marked: np.ndarray, size: int, axis: int) -> np.ndarray:
    """Divides an axis into `size` equal parts; true where a part touches a marked pixel."""
    length = marked.shape[axis]
    part = np.arange(size)
    starts, stops = part * length // size, -(-(part + 1) * length // size)
    # reduceat takes no index beyond the last element.
    padded = np.concatenate([marked, np.zeros_like(marked.take([0], axis))], axis)
    ranges = np.stack([starts, stops], axis=1).ravel()
    return np.logical_or.reduceat(padded, ranges, axis).take(np.arange(0, 2 * size, 2), axis)
