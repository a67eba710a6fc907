"""Geometry: resizes an image of any size to H x W pixels, and a map back to the image's size.

One rule serves images, masks and maps: a box of the image is resized onto a box of the result. To
H x W the resize is Pillow's bilinear one, antialiased, as in RD4AD: first the width and then the
height, each rounded to uint8.
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from PIL import Image

from rdvar_jax.data.pixels.reading import Reading

MODES = ("squash", "crop", "pad", "tile")

# ImageNet's mean: 0 once the image is normalised, like the padding of convolutions.
_MEAN_COLOUR = (124, 116, 104)


class Box(NamedTuple):
    """A box in whole pixels, right and bottom excluded, as in Pillow."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size_wh(self) -> tuple[int, int]:
        return self.right - self.left, self.bottom - self.top

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the box."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True)
class Geometry:
    """Maps images of any size to H x W pixels, and maps back.

    Attributes:
        mode: "squash" stretches the whole image (RD4AD, the paper), "crop" takes the largest
            centred part that has the result's aspect, "pad" keeps the aspect and the whole image
            and adds padding. With "tile" images and maps keep their own size, and H x W is the size
            of the tiles that the networks see (`tiles.py`).
        height: H.
        width: W.
        overlap: of tiles, minimal fraction that the next one covers too, in [0, 1).
        reading: how the files become 8-bit pixels, before any resize.
    """

    mode: str
    height: int
    width: int
    overlap: float = 0.0
    reading: Reading = Reading()

    def __post_init__(self):
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {self.mode!r}")
        if not 0 <= self.overlap < 1:
            raise ValueError(f"overlap must be at least 0 and under 1, not {self.overlap:g}")

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def pads(self) -> bool:
        """Whether the result may hold padding."""
        return self.mode == "pad"

    @property
    def is_tiled(self) -> bool:
        """Whether images keep their own size and are tiled."""
        return self.mode == "tile"

    def shape_of(self, size_wh: tuple[int, int]) -> tuple[int, int]:
        """Returns height and width of the result for an image of this width and height."""
        return (size_wh[1], size_wh[0]) if self.is_tiled else (self.height, self.width)

    def boxes(self, size_wh: tuple[int, int]) -> tuple[Box, Box]:
        """Returns the box of the image that is used, and its box in H x W.

        Boxes are whole pixels, so the scales of width and height may differ by half a pixel of the
        smaller box.
        """
        height, width = self.shape_of(size_wh)
        whole, result = Box(0, 0, *size_wh), Box(0, 0, width, height)
        if self.mode == "crop":
            return _largest_inside(size_wh, result.size_wh), result
        if self.mode == "pad":
            return whole, _largest_inside(result.size_wh, size_wh)
        return whole, result

    def apply_image(self, image: Image.Image) -> np.ndarray:
        """Resizes RGB to uint8 [H, W, 3] (tiled: [h, w, 3]), padded with ImageNet's mean."""
        return self._apply(image, _MEAN_COLOUR)

    def apply_mask(self, mask: Image.Image) -> np.ndarray:
        """Resizes a grey mask to uint8 [H, W] (tiled: [h, w]), still grey, padded with 0."""
        return self._apply(mask, 0)

    def valid_mask(self, size_wh: tuple[int, int]) -> np.ndarray:
        """Returns bool [H, W], False in the padding, for an image of this width and height."""
        valid_mask = np.zeros(self.shape_of(size_wh), np.bool_)
        valid_mask[self.boxes(size_wh)[1].slices] = True
        return valid_mask

    def to_original(
        self, anomaly_map: np.ndarray, shape: tuple[int, int], outside: float = np.nan
    ) -> np.ndarray:
        """Resizes a map to the size of its image.

        Args:
            anomaly_map: float [H, W]; with tiles, the stitched map of `shape`.
            shape: height and width of the image.
            outside: the value where the image was cropped away.

        Returns:
            float32 [height, width], bilinear, without the padding.
        """
        height, width = shape
        source, target = self.boxes((width, height))
        seen = Image.fromarray(np.asarray(anomaly_map, np.float32)[target.slices])
        resized = np.array(seen.resize(source.size_wh, Image.Resampling.BILINEAR))
        if source.size_wh == (width, height):
            return resized
        result = np.full(shape, outside, np.float32)
        result[source.slices] = resized
        return result

    def _apply(self, image: Image.Image, border: int | tuple[int, int, int]) -> np.ndarray:
        source, target = self.boxes(image.size)
        height, width = self.shape_of(image.size)
        if source != (0, 0, *target.size_wh) or image.size != target.size_wh:
            # Two calls: in one, Pillow 13 takes the height of tall images first. Each pass rounds,
            # so the pixels would depend on its version.
            wide = (source.left, 0, source.right, image.height)
            size_wh = (target.size_wh[0], image.height)
            image = image.resize(size_wh, Image.Resampling.BILINEAR, box=wide)
            high = (0, source.top, image.width, source.bottom)
            image = image.resize(target.size_wh, Image.Resampling.BILINEAR, box=high)
        if image.size != (width, height):
            canvas = Image.new(image.mode, (width, height), border)
            canvas.paste(image, (target.left, target.top))
            image = canvas
        return np.array(image)


# Accepted for a Geometry: S or (H, W) mean "squash".
Size: TypeAlias = int | tuple[int, int] | Geometry


def as_geometry(size: Size) -> Geometry:
    """Converts a size to a geometry."""
    if isinstance(size, Geometry):
        return size
    height, width = (size, size) if isinstance(size, int) else size
    return Geometry("squash", height, width)


def _largest_inside(outer_wh: tuple[int, int], aspect_wh: tuple[int, int]) -> Box:
    """Returns the largest centred box in `outer` with the aspect of `aspect`, at least 1 pixel."""
    scale = min(outer_wh[0] / aspect_wh[0], outer_wh[1] / aspect_wh[1])
    width, height = (
        min(outer, max(1, round(side * scale)))
        for outer, side in zip(outer_wh, aspect_wh, strict=True)
    )
    left, top = (outer_wh[0] - width) // 2, (outer_wh[1] - height) // 2
    return Box(left, top, left + width, top + height)
