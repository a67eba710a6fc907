"""Checks of a bundle's manifest, whose JSON anyone may have written."""

import io
import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rdvar_jax.data.pixels.geometry import MODES, Geometry
from rdvar_jax.data.pixels.ignore_mask import IgnoreMask
from rdvar_jax.data.pixels.reading import MAX_FULL_SCALE, MAX_PIXELS, Reading
from rdvar_jax.data.pixels.set_remarks import Aspects
from rdvar_jax.errors import DataError
from rdvar_jax.scoring.pooling import MAX, Pooling, is_pooling
from rdvar_jax.serving.archive import IGNORE

LARGEST_SIDE = 1 << 14  # of an image, in pixels; a map of it takes 1 GB
# Entries that must be objects, if they are there.
_OBJECTS = ("image", "map", "model", "run", "versions", "program")
# Cut into tiles by commands; a bundle never has it.
_TILES = "tile"


class BadContent(ValueError):
    """The content of a bundle cannot be used, whatever the version of JAX."""


def read_geometry(manifest: Mapping[str, Any]) -> Geometry:
    """Returns the geometry of a manifest's images.

    Raises:
        BadContent: an entry is missing, or has another type or range.
    """
    for name in _OBJECTS:
        value = manifest.get(name, {})
        if not isinstance(value, dict):
            raise BadContent(f"{name} in its manifest must be an object, not {_shown(value)}")
    image = manifest.get("image", {})
    for name in ("height", "width"):
        side = image.get(name)
        if type(side) is not int or not 1 <= side <= LARGEST_SIDE:
            raise BadContent(
                f"image.{name} in its manifest must be a whole number from 1 to {LARGEST_SIDE}, "
                f"not {_shown(side)}"
            )
    mode = image.get("geometry")
    modes = [known for known in MODES if known != _TILES]
    if mode not in modes:
        raise BadContent(
            f"image.geometry in its manifest must be one of {', '.join(modes)}, not {_shown(mode)}"
        )
    return Geometry(mode, image["height"], image["width"], reading=_read_reading(image))


def _read_reading(image: Mapping[str, Any]) -> Reading:
    # Bundles of earlier versions have neither entry.
    full_scale, max_pixels = image.get("full_scale"), image.get("max_pixels", MAX_PIXELS)
    for name, value in (("full_scale", full_scale), ("max_pixels", max_pixels)):
        if (value is not None or name == "max_pixels") and (type(value) is not int or value < 1):
            raise BadContent(
                f"image.{name} in its manifest must be a whole number over 0, not {_shown(value)}"
            )
    if full_scale is not None and full_scale > MAX_FULL_SCALE:
        raise BadContent(f"image.full_scale in its manifest must be at most {MAX_FULL_SCALE}")
    return Reading(full_scale, max_pixels)


def read_aspects(manifest: Mapping[str, Any]) -> Aspects | None:
    """Returns the aspects of the training images, or None if the bundle does not know them.

    Raises:
        BadContent: the entry is neither null nor two numbers over 0.
    """
    aspects = manifest.get("image", {}).get("aspects")
    if aspects is None:
        return None
    if (
        not isinstance(aspects, list)
        or len(aspects) != 2
        or not all(type(one) in (int, float) and 0 < one < math.inf for one in aspects)
    ):
        raise BadContent(
            f"image.aspects in its manifest must be two numbers over 0, not {_shown(aspects)}"
        )
    return float(aspects[0]), float(aspects[1])


def read_threshold(manifest: Mapping[str, Any]) -> float | None:
    """Returns the threshold of a manifest, or None if the bundle gives no verdicts.

    Raises:
        BadContent: the entry is missing, or its value is not a finite number.
    """
    if "threshold" not in manifest:
        raise BadContent("threshold is missing in its manifest")
    entry = manifest["threshold"]
    if entry is None:
        return None
    value = entry.get("threshold") if isinstance(entry, dict) else entry
    if isinstance(entry, dict) and (number := _finite(value)) is not None:
        return number
    raise BadContent(f"threshold in its manifest must be a finite number, not {_shown(value)}")


def read_pixel_threshold(manifest: Mapping[str, Any]) -> float | None:
    """Returns the value of a map above which a pixel is defective, or None if there is none.

    Of scores that are maxima it is the threshold of images, unless it has an entry of its own.

    Raises:
        BadContent: the entry is not a finite number; see `read_threshold` and `read_pooling`.
    """
    image, pooling = read_threshold(manifest), read_pooling(manifest)
    entry = manifest["threshold"]
    if entry is None or "pixel_threshold" not in entry:
        return image if pooling == MAX else None
    if (number := _finite(entry["pixel_threshold"])) is not None:
        return number
    raise BadContent(
        "threshold.pixel_threshold in its manifest must be a finite number, not "
        f"{_shown(entry['pixel_threshold'])}"
    )


def read_good_scores(manifest: Mapping[str, Any]) -> list[float] | None:
    """Returns scores of the good images that the threshold came from, or None if they are unknown.

    Raises:
        BadContent: the entry is not a list of finite numbers; see `read_threshold`.
    """
    read_threshold(manifest)
    scores = (manifest["threshold"] or {}).get("good_scores")
    if not scores:  # earlier versions kept none
        return None
    numbers = [_finite(one) for one in scores] if isinstance(scores, list) else [None]
    if None in numbers:
        raise BadContent("threshold.good_scores in its manifest must be finite numbers")
    return [number for number in numbers if number is not None]


def read_pooling(manifest: Mapping[str, Any]) -> Pooling:
    """Returns how the program makes scores of maps; bundles of earlier versions take the maximum.

    Raises:
        BadContent: the entry is neither "max" nor a share.
    """
    pooling = manifest.get("map", {}).get("pooling", MAX)
    if not is_pooling(pooling):
        raise BadContent(
            f"map.pooling in its manifest must be max or a number over 0 and at most 1, not "
            f"{_shown(pooling)}"
        )
    return pooling


def read_min_area(manifest: Mapping[str, Any]) -> int:
    """Returns how many pixels a region has at least; 0 without the entry.

    Raises:
        BadContent: the entry is not a whole number, or there is no threshold of pixels.
    """
    value = manifest.get("min_area", 0)
    if type(value) is not int or value < 0:
        raise BadContent(
            f"min_area in its manifest must be a whole number, at least 0, not {_shown(value)}"
        )
    if value > 0 and read_pixel_threshold(manifest) is None:
        raise BadContent("min_area in its manifest needs a threshold of pixels")
    return value


def _finite(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(OverflowError):  # of a whole number beyond float's range
            if math.isfinite(value):  # a threshold of NaN would make every image good
                return float(value)
    return None


def read_ignore(content: bytes | None) -> IgnoreMask | None:
    """Reads the picture of pixels that never count; None without one.

    Raises:
        BadContent: it is not a picture.
    """
    if content is None:
        return None
    try:
        return IgnoreMask.read(_InBundle(content))
    except DataError as error:
        raise BadContent(f"a picture in it cannot be read ({error})") from error


def read_ignore_sha256(manifest: Mapping[str, Any]) -> str | None:
    """Returns the hash of the pixels that never count; None if all count.

    Raises:
        BadContent: the entry is not a text.
    """
    value = manifest.get("map", {}).get("ignore_sha256")
    if value is not None and not isinstance(value, str):
        raise BadContent(
            f"map.ignore_sha256 in its manifest must be a text or null, not {_shown(value)}"
        )
    return value


class _InBundle:
    """A member of a bundle as a file."""

    parent = Path()

    def __init__(self, content: bytes):
        self._content = content

    def __str__(self) -> str:
        return IGNORE

    def open(self, mode: str, /) -> io.BytesIO:
        return io.BytesIO(self._content)


def jax_version(manifest: Mapping[str, Any]) -> str | None:
    """Returns the version of JAX that made a bundle, or None if the manifest does not say."""
    versions = manifest.get("versions")
    version = versions.get("jax") if isinstance(versions, dict) else None
    return version[:40] if isinstance(version, str) and version.isprintable() else None


def _shown(value: Any) -> str:
    text = "null" if value is None else ascii(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
