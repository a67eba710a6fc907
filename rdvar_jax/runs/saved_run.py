"""A saved state of a run, as a model or as a scoring function."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rdvar_jax.data.loading.tiles import maps_in_tiles
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.ignore_mask import IgnoreMask, counted_values
from rdvar_jax.models.reverse_distillation import ReverseDistillation
from rdvar_jax.runs.ignore_file import nothing_left
from rdvar_jax.scoring.pooling import Pooling, pooled_on_host
from rdvar_jax.training.manifest import SavedStep


@dataclass(frozen=True, eq=False)
class SavedRun:
    """A saved state of a run.

    Attributes:
        model: with the saved state's student; its teacher is on the host.
        saved: the state's manifest.
        teacher_sha256: of the run's copy of the teacher.
        teacher_source_sha256: of the file that it was copied from.
        teacher_unverified: what is not known about that file; see `TeacherSource`.
    """

    model: ReverseDistillation
    saved: SavedStep
    teacher_sha256: str
    teacher_source_sha256: str
    teacher_unverified: str = ""


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A saved state of a run, ready to score images."""

    # (uint8 [N, H, W, 3], progress=False) -> maps [N, H, W] and scores [N], float32, raw. Tiled
    # images and their maps keep their own size.
    score: Callable[..., tuple[np.ndarray, np.ndarray]]
    saved: SavedStep
    teacher_sha256: str
    teacher_source_sha256: str
    # The same for inputs of the networks, which of tiled images are the tiles.
    score_inputs: Callable[..., tuple[np.ndarray, np.ndarray]]
    geometry: Geometry
    ignore: IgnoreMask | None = None
    teacher_unverified: str = ""

    def counted(self, maps: np.ndarray) -> np.ndarray:
        """Returns the values of maps [N, H, W] that count, [N, H, W] or [N, number]."""
        return counted_values(maps, self.geometry, self.ignore)


def tiled(
    score: Callable, geometry: Geometry, pooling: Pooling, ignore: IgnoreMask | None
) -> Callable:
    """Wraps a scoring function so that it scores tiled images at their own size.

    A score is that of the stitched map, not of any tile's. Pixels that are ignored do not count,
    and the map is 0 there.
    """
    if not geometry.is_tiled:
        return score
    tile = geometry.height, geometry.width

    def score_whole(images: np.ndarray, progress: bool = False) -> tuple[np.ndarray, np.ndarray]:
        maps = maps_in_tiles(score, images, tile, geometry.overlap, progress)
        if ignore is None:
            return maps, pooled_on_host(maps, pooling)
        ignored = ignore.on_map(geometry, (images.shape[2], images.shape[1]))
        if ignored.all():
            raise nothing_left("the run's picture")
        scores = pooled_on_host(maps, pooling, ignored)
        maps[:, ignored] = 0
        return maps, scores

    return score_whole
