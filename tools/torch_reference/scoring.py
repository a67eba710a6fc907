"""Anomaly maps and scores: cosine and upsampling in torch, the blur in numpy on the host."""

# torch is not among this project's dependencies, so it is absent where pyright runs.
# pyright: reportMissingImports=false

from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F

SIGMA = 4.0
TRUNCATE = 4.0


def summed_maps(teacher_features: Sequence, student_features: Sequence, size: int) -> np.ndarray:
    """1 - cos over channels, upsampled with aligned corners and summed: [B, size, size]."""
    return summed_tensor(teacher_features, student_features, size).cpu().numpy()


def summed_tensor(teacher_features: Sequence, student_features: Sequence, size: int):
    """`summed_maps` as a tensor on the features' device."""
    total = 0
    for teacher, student in zip(teacher_features, student_features, strict=True):
        distance = 1 - F.cosine_similarity(teacher, student, dim=1)
        total = total + F.interpolate(
            distance[:, None], size=size, mode="bilinear", align_corners=True
        )
    return total[:, 0]


def blur(maps: np.ndarray) -> np.ndarray:
    """scipy's `gaussian_filter(map, sigma=4)` of each map [B, S, S], for S of at least 16.

    The kernel is cut off after four deviations, and borders are mirrored with the edge repeated.
    """
    radius = int(TRUNCATE * SIGMA + 0.5)
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / SIGMA) ** 2)
    kernel = (kernel / kernel.sum()).astype(maps.dtype)
    for axis in (1, 2):
        pad = [(0, 0)] * 3
        pad[axis] = (radius, radius)
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(maps, pad, mode="symmetric"), len(kernel), axis=axis
        )
        maps = windows @ kernel
    return maps


def blur_matrix(size: int) -> np.ndarray:
    """The matrix M, float32 [size, size], with which M m Mᵀ is `blur` of a map m."""
    unit = np.eye(size, dtype=np.float32)[None]
    # Of a map that is constant along one axis, the blur along that axis changes nothing.
    return np.stack([blur(np.repeat(row[:, None], size, 1)[None])[0, :, 0] for row in unit[0]], 1)


def scores(maps: np.ndarray) -> np.ndarray:
    """The largest value of each blurred map, [B]."""
    return maps.max(axis=(1, 2))
