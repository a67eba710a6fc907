"""A saved state of a run, as a model or as a scoring function."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rdvar_jax.data.loading.tiles import maps_in_tiles
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.models.reverse_distillation import ReverseDistillation
from rdvar_jax.scoring.pooling import Pooling, pooled_on_host
from rdvar_jax.training.checkpoint import SavedStep


@dataclass(frozen=True, eq=False)
class SavedRun:
    """A saved state of a run.

    Attributes:
        model: with the saved state's student; its teacher is on the host.
        saved: the state's manifest.
        teacher_sha256: of the run's copy of the teacher.
        teacher_source_sha256: of the file that it was copied from.
    """

    model: ReverseDistillation
    saved: SavedStep
    teacher_sha256: str
    teacher_source_sha256: str


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A saved state of a run, ready to score images."""

    # (uint8 [N, H, W, 3], progress=False) -> maps [N, H, W] and scores [N], float32, raw. Tiled
    # images and their maps keep their own size.
    score: Callable[..., tuple[np.ndarray, np.ndarray]]
    saved: SavedStep
    teacher_sha256: str
    teacher_source_sha256: str


def tiled(score: Callable, geometry: Geometry, pooling: Pooling) -> Callable:
    """Wraps a scoring function so that it scores tiled images at their own size.

    A score is that of the stitched map, not of any tile's.
    """
    if not geometry.is_tiled:
        return score
    tile = geometry.height, geometry.width

    def score_whole(images: np.ndarray, progress: bool = False) -> tuple[np.ndarray, np.ndarray]:
        maps = maps_in_tiles(score, images, tile, geometry.overlap, progress)
        return maps, pooled_on_host(maps, pooling)

    return score_whole
