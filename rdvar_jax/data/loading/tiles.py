"""Overlapping tiles of large images, and their maps stitched into one map.

Images are decoded at their own size (`own_size`); the networks see tiles of it. Tiles are spaced
evenly, and the first and last ones touch the image's edges, so nothing is padded or left out. Where
tiles overlap, their maps are averaged with weights that fall linearly towards a tile's edge: there
the network sees the least context of a pixel, and a seam would show.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from rdvar_jax.data.loading.on_disk import ImagesOnDisk, TilesOnDisk
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.image_file import image_dimensions
from rdvar_jax.data.sets.records import HasPath, ImageFile
from rdvar_jax.errors import DataError

_PIXELS_AT_ONCE = 1 << 24  # of tiles that are scored together
_LEAST_AT_ONCE = 64  # tiles; a multiple of the usual batch sizes


def own_size(path: ImageFile, geometry: Geometry) -> Geometry:
    """Returns the geometry that keeps an image at its own size.

    Raises:
        DataError: the file cannot be read, or the image is smaller than a tile of `geometry`.
    """
    width, height = image_dimensions(path, geometry.reading)
    if height < geometry.height or width < geometry.width:
        raise DataError(
            f"{path} has {width}x{height} pixels, fewer than a tile of {geometry}; make "
            "data.image_size smaller, or set another data.geometry than tile."
        )
    return Geometry("tile", height, width, reading=geometry.reading)


def common_size(records: Sequence[HasPath], geometry: Geometry) -> Geometry:
    """Returns `own_size` for a set of images of one size, from the first readable one.

    Raises:
        DataError: no image can be read, or the images are smaller than a tile.
    """
    for number, record in enumerate(records):
        try:
            image_dimensions(record.path, geometry.reading)
        except DataError:
            if number == len(records) - 1:
                raise
        else:
            return own_size(record.path, geometry)
    return geometry


def tile_starts(length: int, tile: int, overlap: float) -> list[int]:
    """Returns the start of each tile along one side.

    Args:
        length: of the image's side, at least `tile`.
        tile: pixels of a tile.
        overlap: minimal fraction of a tile that the next one covers too, in [0, 1).
    """
    step = max(1, math.floor(tile * (1 - overlap)))
    last = length - tile
    number = math.ceil(last / step)
    return [round(last * index / number) for index in range(number + 1)] if number else [0]


def tile_places(
    shape: tuple[int, int], tile: tuple[int, int], overlap: float
) -> list[tuple[slice, slice]]:
    """Returns rows and columns of each tile, in row order, for an image [height, width].

    Raises:
        ValueError: the image is smaller than a tile.
    """
    if shape[0] < tile[0] or shape[1] < tile[1]:
        raise ValueError(f"an image of {shape} is smaller than a tile of {tile}")
    return [
        (slice(top, top + tile[0]), slice(left, left + tile[1]))
        for top in tile_starts(shape[0], tile[0], overlap)
        for left in tile_starts(shape[1], tile[1], overlap)
    ]


def count_inputs(records: Sequence[HasPath], geometry: Geometry) -> int:
    """Counts the networks' inputs for these images: tiles, where the geometry is tiled.

    Raises:
        DataError: see `common_size`.
    """
    if not geometry.is_tiled or not records:
        return len(records)
    whole = common_size(records, geometry)
    shape, tile = (whole.height, whole.width), (geometry.height, geometry.width)
    return len(records) * len(tile_places(shape, tile, geometry.overlap))


def cut_all(images: np.ndarray | ImagesOnDisk, geometry: Geometry) -> np.ndarray | TilesOnDisk:
    """Cuts images [N, h, w, 3] into tiles [N T, H, W, 3], those of an image together."""
    tile = geometry.height, geometry.width
    _, height, width, _ = images.shape
    places = tile_places((height, width), tile, geometry.overlap)
    if isinstance(images, ImagesOnDisk):
        return TilesOnDisk(images, places)
    tiles = np.empty((len(images), len(places), *tile, 3), images.dtype)
    for number, place in enumerate(places):
        tiles[:, number] = images[:, *place]
    return tiles.reshape(-1, *tile, 3)


def stitch(
    maps: Iterable[np.ndarray], shape: tuple[int, int], tile: tuple[int, int], overlap: float
) -> np.ndarray:
    """Stitches the maps [H, W] of the tiles of `tile_places` into one float32 map of `shape`."""
    weight = np.outer(_tent(tile[0]), _tent(tile[1])).astype(np.float64)
    total = np.zeros(shape)
    for place, one in zip(tile_places(shape, tile, overlap), maps, strict=True):
        total[place] += weight * one
    # Tiles form a grid, so their weights sum to a product, exactly: they are whole numbers.
    rows, columns = (_weights(*side, overlap) for side in zip(shape, tile, strict=True))
    stitched = np.empty(shape, np.float32)
    for top in range(0, shape[0], tile[0]):  # in strips: an image may be large
        strip = slice(top, top + tile[0])
        stitched[strip] = total[strip] / np.outer(rows[strip], columns)
    return stitched


def maps_in_tiles(
    score: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    images: np.ndarray | ImagesOnDisk,
    tile: tuple[int, int],
    overlap: float,
    progress: bool = False,
) -> np.ndarray:
    """Returns maps [N, h, w], float32, of images [N, h, w, 3], tiled one image at a time.

    Args:
        score: returns maps [T, H, W] of tiles [T, H, W, 3], and their scores.
        images: at their own size.
        tile: H and W.
        overlap: as in `tile_starts`.
        progress: show a progress bar, if standard error is a terminal.
    """
    number, height, width, _ = images.shape
    maps = np.empty((number, height, width), np.float32)
    # Imported late: a detector finds images with this room and may run without tqdm.
    from tqdm import tqdm

    disable = None if progress else True  # None is tqdm's "only on a terminal"
    for index in tqdm(range(number), desc="scoring", unit="img", disable=disable):
        of_tiles = _tile_maps(score, images[index], tile, overlap)
        maps[index] = stitch(of_tiles, (height, width), tile, overlap)
    return maps


def _tile_maps(
    score: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    image: np.ndarray,
    tile: tuple[int, int],
    overlap: float,
) -> Iterator[np.ndarray]:
    """Yields the map of each tile; only some tiles are in memory at once."""
    places = tile_places((image.shape[0], image.shape[1]), tile, overlap)
    fitting = _PIXELS_AT_ONCE // (tile[0] * tile[1])
    at_once = max(_LEAST_AT_ONCE, fitting // _LEAST_AT_ONCE * _LEAST_AT_ONCE)
    for start in range(0, len(places), at_once):
        yield from score(np.stack([image[place] for place in places[start : start + at_once]]))[0]


def _weights(length: int, tile: int, overlap: float) -> np.ndarray:
    """Returns the sum of the tiles' weights along one side."""
    weights = np.zeros(length)
    for start in tile_starts(length, tile, overlap):
        weights[start : start + tile] += _tent(tile)
    return weights


def _tent(side: int) -> np.ndarray:
    """Returns 1, 2, ..., 2, 1: never 0, since only one tile covers the image's edge."""
    position = np.arange(side)
    return np.minimum(position + 1, side - position)
