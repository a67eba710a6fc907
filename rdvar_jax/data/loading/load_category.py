"""`load_category`: one call from a folder to arrays."""

import logging
import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from rdvar_jax.data.loading.arrays import TestSet, TrainSet, load_test, load_train, load_validation
from rdvar_jax.data.loading.full_scale import decide_full_scale
from rdvar_jax.data.pixels.geometry import Geometry, as_geometry
from rdvar_jax.data.pixels.mask_file import ORIENTATIONS
from rdvar_jax.data.pixels.mask_rule import MaskThreshold, threshold_problems
from rdvar_jax.data.pixels.reading import (
    MAX_PIXELS,
    OWN_FULL_SCALE,
    as_reading,
    reading_problems,
)
from rdvar_jax.data.sets.records import GOOD, Category
from rdvar_jax.data.sets.source import find_images
from rdvar_jax.data.sets.validation import split_validation
from rdvar_jax.errors import ConfigError, DataError

logger = logging.getLogger("rdvar_jax")

GEOMETRIES = ("squash", "crop", "pad")


@dataclass(frozen=True, eq=False)
class LoadedCategory:
    """One category's images; each split is decoded on first access.

    Attributes:
        category: the files: `category.train`, `.test` and `.validation` are records.
        geometry: how images become H x W pixels.
    """

    category: Category
    geometry: Geometry
    _settings: dict[str, Any]
    _options: dict[str, Any]
    _mask_threshold: MaskThreshold
    _mask_orientation: str

    @cached_property
    def train(self) -> TrainSet:
        """Good images to train on: `.images` is uint8 [N, H, W, 3].

        Raises:
            DataError: an image cannot be read.
        """
        found = load_train(self.category, self.geometry, memory_budget=math.inf, **self._options)
        return replace(found, settings=self._settings)

    @cached_property
    def validation(self) -> TrainSet:
        """Good images kept from training.

        Raises:
            DataError: an image cannot be read.
        """
        return load_validation(self.category, self.geometry, **self._options)

    @cached_property
    def test(self) -> TestSet:
        """Test images `.images`, `.masks` bool [N, H, W] and `.labels` int32 [N].

        Raises:
            DataError: there are none, or one cannot be read.
        """
        if not self.category.test:
            raise DataError(
                f"{self.category.folder} holds no test images; put some into "
                f"{self.category.folder / 'test'}."
            )
        test_set = load_test(
            self.category,
            self.geometry,
            threshold=self._mask_threshold,
            orientation=self._mask_orientation,
            **self._options,
        )
        test_set.warn_undefined(self.category.name)
        return test_set


def load_category(
    path: str | Path,
    *,
    image_size: int | tuple[int, int] = 256,
    geometry: Literal["squash", "crop", "pad"] = "squash",
    layout: str = "auto",
    source: Literal["folder", "tfds"] = "folder",
    good_names: tuple[str, ...] = (GOOD,),
    validation: float = 0.0,
    seed: int = 0,
    mask_threshold: Literal["auto", "half", "any"] | int = "auto",
    mask_orientation: Literal["own", "image", "upright"] = "own",
    full_scale: int | Literal["type", "auto"] = OWN_FULL_SCALE,
    max_pixels: int = MAX_PIXELS,
    allow_mixed_sizes: bool = False,
    on_error: Literal["fail", "skip"] = "fail",
    progress: bool = True,
) -> LoadedCategory:
    """Finds one category's images: a folder in a known layout, or one folder of good images.

    Args:
        path: the category's folder, such as "mvtec/screw".
        image_size: S, or (H, W), multiples of 32.
        geometry: "squash" as in the paper, "crop" or "pad" to keep the aspect.
        layout: "mvtec", "visa", "btad", "folder", or "auto" to detect it.
        source: "tfds" for what `rdvar prepare --source tfds` made; `path` is then
          DATA_DIR/CATEGORY.
        good_names: folders of good images, such as ("good", "OK").
        validation: fraction of the good training images to keep from training.
        seed: together with the images' names, decides which ones.
        mask_threshold: defective values of a mask: above half of white ("half"), a number from 1
          to 255 or more, every value but 0 ("any"), or "auto", which decides from all masks;
          `test.mask_threshold` is the result.
        mask_orientation: a mask is turned by its "own" EXIF orientation, by that of its "image",
          or is "upright" already.
        full_scale: the value that is white in grey images of more than 8 bits, such as 4095.
          "type" takes the type's own, "auto" decides it from the training images.
        max_pixels: width times height of an image, at most.
        allow_mixed_sizes: accept images of different sizes.
        on_error: "skip" leaves out images that cannot be read, up to a twentieth of a split.
        progress: show a progress bar while decoding.

    Returns:
        The category. `train` and `validation` have `images`, uint8 [N, H, W, 3] in RGB; `test` has
        `images`, `masks`, bool [N, H, W], true where defective, and `labels`, int32 [N], 1 where
        defective. The `records` of each have `path` and `defect`, the kind.

    Raises:
        ConfigError: the geometry, the full scale or a setting of masks is unknown.
        DataError: there is no such folder, or it does not fit its layout.

    Example:
        >>> parts = load_category("mvtec/screw", image_size=256)
        >>> parts.train.images.shape, parts.test.masks.shape
        ((320, 256, 256, 3), (160, 256, 256))

    References:
        Bergmann et al., "MVTec AD", 2019, for the layout; docs/data.md for the others.
    """
    if geometry not in GEOMETRIES:
        raise ConfigError(f"geometry={geometry!r} is not one of {', '.join(GEOMETRIES)}.")
    for problem in reading_problems(full_scale, max_pixels):
        raise ConfigError(problem.removeprefix("data."))
    for problem in threshold_problems(mask_threshold):
        raise ConfigError(problem.removeprefix("data."))
    if mask_orientation not in ORIENTATIONS:
        raise ConfigError(
            f"mask_orientation={mask_orientation!r} is not one of {', '.join(ORIENTATIONS)}."
        )
    folder = Path(path).expanduser().absolute()
    category = find_images(folder.parent, folder.name, layout, source, good_names)
    category = split_validation(category, validation, seed)
    size = as_geometry(image_size)
    decided = decide_full_scale(full_scale, category.train, max_pixels, progress=progress)
    reading = as_reading(decided, max_pixels)
    settings = {
        "root": str(folder.parent),
        "category": folder.name,
        "layout": layout,
        "source": source,
        "good_names": tuple(good_names),
        "geometry": geometry,
        "validation": float(validation),
        "mask_threshold": mask_threshold,
        "mask_orientation": mask_orientation,
        "full_scale": decided,
        "max_pixels": max_pixels,
        "allow_mixed_sizes": allow_mixed_sizes,
        "on_error": on_error,
    }
    options = {
        "progress": progress,
        "allow_mixed_sizes": allow_mixed_sizes,
        "on_error": on_error,
    }
    return LoadedCategory(
        category,
        Geometry(geometry, size.height, size.width, reading=reading),
        settings,
        options,
        mask_threshold,
        mask_orientation,
    )
