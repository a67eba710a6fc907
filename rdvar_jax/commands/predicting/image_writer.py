"""Verdict of one image, its regions above the threshold, and the files that show them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rdvar_jax.commands.predicting.output_part import inside
from rdvar_jax.data.pixels.decode import decode_original
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.ignore_mask import map_on_image
from rdvar_jax.data.pixels.image_file import image_dimensions
from rdvar_jax.data.pixels.kept_pictures import KeptPicture, KeptPictures
from rdvar_jax.data.sets.inputs import InputImage
from rdvar_jax.errors import DataError
from rdvar_jax.files.replacing import replacing
from rdvar_jax.report.caption import Caption
from rdvar_jax.report.prediction import (
    save_heat_map,
    save_map,
    save_mask,
    save_overlay,
    save_thumbnails,
)
from rdvar_jax.report.prediction_files import ImageResult
from rdvar_jax.serving.judgement import Thresholds, judge

HEAT_MAPS, OVERLAYS, MASKS, MAPS = "heat_maps", "overlays", "masks", "maps"
THUMBNAILS, PLAIN, HEAT = "thumbnails", "plain", "heat"  # two folders in the first
FOLDERS = (HEAT_MAPS, OVERLAYS, MASKS, MAPS, THUMBNAILS)


@dataclass(frozen=True)
class Outputs:
    """Files to write for each image, besides its row."""

    heat_maps: bool = True  # image and heat map side by side
    overlays: bool = True  # image at its own size under its heat, with outlines and a caption
    masks: bool = False  # defective pixels at the image's size
    maps: bool = False  # raw map, float32 [H, W], as .npy
    maps_at_own_size: bool = False  # raw map at the image's size; NaN where it was cropped away
    page: bool = False  # thumbnails for index.html

    @property
    def colored(self) -> bool:
        """Whether a colour scale is needed."""
        return self.heat_maps or self.overlays or self.page

    @property
    def at_own_size(self) -> bool:
        """Whether pictures are drawn from the image at its own size."""
        return self.overlays or self.page


PICTURES = Outputs()


@dataclass(frozen=True, eq=False)
class _FullSize:
    """An image at its own size, as far as files and regions need it."""

    picture: np.ndarray | None = None  # uint8 [H, W, 3]
    anomaly_map: np.ndarray | None = None  # float32 [H, W], -inf where nothing counts


@dataclass(frozen=True)
class ImageWriter:
    """Writes the wanted files of each image under a folder, and returns its row.

    `geometry` is that of scoring. `scale` are the raw map values of no heat and of full heat; None
    if no file needs colours. `note` is called with each file before it is written. An image that is
    not in `kept` is read again.
    """

    folder: Path
    geometry: Geometry
    thresholds: Thresholds
    wanted: Outputs
    scale: tuple[float, float] | None = None
    note: Callable[[Path], None] = lambda path: None
    kept: KeptPictures | None = None

    def write(
        self, image: InputImage, pixels: np.ndarray, anomaly_map: np.ndarray, score: np.float32
    ) -> ImageResult:
        """Writes one image's files.

        Args:
            image: its path and name.
            pixels: uint8 [H, W, 3], as it was scored.
            anomaly_map: float32 [H, W], raw.
            score: of the map, by the run's `score.pooling`.

        Raises:
            DataError: the file can no longer be read, or a link leads out of the folder.
            OSError: a file cannot be written.
        """
        kept = None if self.kept is None else self.kept.take(image.path)
        seen = self._at_full_size(image, pixels, anomaly_map, kept)
        found = judge(anomaly_map, seen.anomaly_map, float(score), self.thresholds)
        verdict, limit = found.verdict, self.thresholds.image
        caption = Caption(float(score), limit, verdict)
        if self.wanted.heat_maps and self.scale is not None:
            with self._writing(HEAT_MAPS, image, ".png") as path:
                save_heat_map(path, pixels, anomaly_map, image.name, caption, self.scale)
        if self.wanted.maps:
            with self._writing(MAPS, image, ".npy") as path:
                save_map(path, self._map_to_save(image, anomaly_map, kept))
        if self.wanted.masks and found.above is not None:
            with self._writing(MASKS, image, ".png") as path:
                save_mask(path, found.above)
        self._draw(image, seen, found.above, caption)
        counted = found.num_regions, found.regions
        return ImageResult(image.name, float(score), limit, verdict, *counted)

    def _at_full_size(
        self,
        image: InputImage,
        pixels: np.ndarray,
        anomaly_map: np.ndarray,
        kept: KeptPicture | None,
    ) -> _FullSize:
        """Brings the map to the image's own size where a file or the regions need it."""
        draw = self.wanted.at_own_size and self.scale is not None
        if self.thresholds.pixel is None and not draw:
            return _FullSize()
        if draw:
            picture = pixels if self.geometry.is_tiled else kept and kept.pixels
            if picture is None:
                picture = decode_original(image.path, self.geometry.reading)
            width, height = picture.shape[1::-1]
        else:
            picture, (width, height) = None, self._size_wh(image, kept)
        # Cropped-away and ignored pixels are below every threshold, and have no colour.
        ignore = self.thresholds.ignore
        return _FullSize(picture, map_on_image(anomaly_map, self.geometry, (height, width), ignore))

    def _draw(
        self, image: InputImage, seen: _FullSize, above: np.ndarray | None, caption: Caption
    ) -> None:
        """Writes the pictures that are made at the image's own size."""
        scale, picture, full = self.scale, seen.picture, seen.anomaly_map
        if scale is None or picture is None or full is None:
            return
        if self.wanted.overlays:
            with self._writing(OVERLAYS, image, ".png") as path:
                save_overlay(path, picture, full, scale, above, caption)
        if self.wanted.page:
            kinds = f"{THUMBNAILS}/{PLAIN}", f"{THUMBNAILS}/{HEAT}"
            with (
                self._writing(kinds[0], image, ".jpg") as plain,
                self._writing(kinds[1], image, ".jpg") as heat,
            ):
                save_thumbnails(plain, heat, picture, full, scale, above)

    def _map_to_save(
        self, image: InputImage, anomaly_map: np.ndarray, kept: KeptPicture | None
    ) -> np.ndarray:
        if not self.wanted.maps_at_own_size:
            return anomaly_map
        width, height = self._size_wh(image, kept)
        return self.geometry.to_original(anomaly_map, (height, width))

    def _size_wh(self, image: InputImage, kept: KeptPicture | None) -> tuple[int, int]:
        if kept is not None:
            return kept.size_wh
        return image_dimensions(image.path, self.geometry.reading)

    @contextmanager
    def _writing(self, kind: str, image: InputImage, suffix: str) -> Iterator[Path]:
        """Yields a path to write a result to; it takes its name, and that of a link, at the end."""
        path = self.folder / kind / image.result_name(suffix)
        if not inside(self.folder, path):
            raise DataError(
                f"{path.parent} leads out of the output {self.folder} by a link; remove the link, "
                "or give another --output."
            )
        self.note(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not synced: pictures can be made again, and a sync for each would take longer than it.
        with replacing(path, synced=False) as temporary:
            yield temporary
