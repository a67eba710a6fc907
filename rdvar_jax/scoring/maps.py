"""Anomaly maps from feature maps.

After the cosine everything is linear and separable into rows and columns, so upsampling and blur
are one matrix product from either side: map = sum over scales of B m C^T with B = G U, G the
Gaussian blur and U the bilinear upsampling, of the rows, and C the same of the columns. A product
over scales comes between upsampling and blur.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax import lax

from rdvar_jax.models.cosine import cosine_similarity, unit_distance

# RD4AD's blur, in pixels of the map; scipy truncates the kernel at four standard deviations.
SIGMA = 4.0
TRUNCATE = 4.0


def upsampling_matrix(size_out: int, size_in: int, align_corners: bool = True) -> np.ndarray:
    """Returns bilinear upsampling as a matrix [size_out, size_in], float64.

    Equal to torch's `interpolate(mode="bilinear")` with the same `align_corners`: RD4AD aligns
    corners, STFPM half-pixel centres.
    """
    if align_corners:
        position = np.arange(size_out) * ((size_in - 1) / max(size_out - 1, 1))
    else:
        position = (np.arange(size_out) + 0.5) * (size_in / size_out) - 0.5
        position = position.clip(0, size_in - 1)
    low = np.minimum(position.astype(int), size_in - 1)
    high = np.minimum(low + 1, size_in - 1)
    matrix = np.zeros((size_out, size_in))
    rows = np.arange(size_out)
    np.add.at(matrix, (rows, low), 1 - (position - low))
    np.add.at(matrix, (rows, high), position - low)
    return matrix


def blur_matrix(size: int, sigma: float = SIGMA) -> np.ndarray:
    """Returns the Gaussian blur as a matrix [size, size], float64.

    Equal to `scipy.ndimage.gaussian_filter` with its defaults: truncate 4, padding mirrored with
    the edge pixel repeated. A sigma of 0 is the identity.
    """
    if sigma == 0:
        return np.eye(size)
    radius = int(TRUNCATE * sigma + 0.5)
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= kernel.sum()
    columns = (np.arange(size)[:, None] + offsets[None, :]) % (2 * size)
    columns = np.where(columns < size, columns, 2 * size - 1 - columns)
    matrix = np.zeros((size, size))
    np.add.at(matrix, (np.arange(size)[:, None], columns), kernel[None, :])
    return matrix


def map_matrices(size_out: int, sizes_in: Sequence[int], sigma: float = SIGMA) -> list[np.ndarray]:
    """Returns B = G U for each scale, [size_out, size_in] float32, computed in float64."""
    blur = blur_matrix(size_out, sigma)
    return [(blur @ upsampling_matrix(size_out, size)).astype(np.float32) for size in sizes_in]


def make_map_fn(
    merging: Literal["sum", "product"], height: int, width: int, sigma: float = SIGMA
) -> Callable:
    """Makes (teacher_features, student_features) -> maps [B, height, width].

    Args:
        merging: "sum" for `anomaly_maps`, "product" for `product_maps`.
        height: of the images.
        width: of the images.
        sigma: of the blur, in pixels.
    """
    sizes = [(height // n, width // n) for n in (4, 8, 16)]
    if merging == "sum":
        rows = map_matrices(height, [size[0] for size in sizes], sigma)
        columns = rows
        if width != height:
            columns = map_matrices(width, [size[1] for size in sizes], sigma)
        return lambda teacher, student: anomaly_maps(teacher, student, rows, columns)
    rows = upsampling_matrices(height, [size[0] for size in sizes])
    columns = upsampling_matrices(width, [size[1] for size in sizes])
    blurs = [blur_matrix(side, sigma).astype(np.float32) for side in (height, width)]

    def blurred(teacher, student):
        maps = product_maps(teacher, student, rows, columns)
        return _from_both_sides(maps, *blurs) if sigma > 0 else maps

    return blurred


def upsampling_matrices(size_out: int, sizes_in: Sequence[int]) -> list[np.ndarray]:
    """Returns half-pixel upsampling for each scale, [size_out, size_in] float32."""
    return [upsampling_matrix(size_out, size, False).astype(np.float32) for size in sizes_in]


def product_maps(
    teacher_features: Sequence,
    student_features: Sequence,
    rows: Sequence[np.ndarray],
    columns: Sequence[np.ndarray],
):
    """Computes anomaly maps [B, H, W] float32 as products over the scales, without a blur.

    Args:
        teacher_features: maps [B, h_k, w_k, C_k], one per scale.
        student_features: maps of the same shapes; anything after them is ignored.
        rows: [H, h_k] for each scale, from `upsampling_matrices`.
        columns: [W, w_k] likewise.

    References:
        Wang et al., "Student-Teacher Feature Pyramid Matching for Anomaly Detection", 2021: half
        the squared distance of unit vectors at each position, upsampled and multiplied.
    """
    product = jnp.ones((), jnp.float32)
    student_maps = student_features[: len(teacher_features)]
    for teacher, student, left, right in zip(
        teacher_features, student_maps, rows, columns, strict=True
    ):
        distance = unit_distance(teacher, student, axis=-1)
        product *= _from_both_sides(distance, left, right)
    return product


def anomaly_maps(
    teacher_features: Sequence,
    student_features: Sequence,
    rows: Sequence[np.ndarray],
    columns: Sequence[np.ndarray] | None = None,
):
    """Computes anomaly maps [B, H, W] float32, higher where student and teacher differ more.

    Args:
        teacher_features: maps [B, h_k, w_k, C_k], one per scale.
        student_features: maps of the same shapes; anything after them is ignored.
        rows: [H, h_k] for each scale, from `map_matrices`.
        columns: [W, w_k] likewise; None if equal to `rows`.

    References:
        RD4AD, equation 3: 1 - cos over channels at each position, upsampled, summed over the
        scales and blurred.
    """
    maps = []
    columns = rows if columns is None else columns
    student_maps = student_features[: len(teacher_features)]
    for teacher, student, left, right in zip(
        teacher_features, student_maps, rows, columns, strict=True
    ):
        distance = 1 - cosine_similarity(teacher, student, axis=-1)
        maps.append(_from_both_sides(distance, left, right))
    return sum(maps[1:], start=maps[0])


def _from_both_sides(maps, left, right):
    # A map is cheap, so it has full precision even if convolutions run in TF32.
    return jnp.einsum("sh,bhw,tw->bst", left, maps, right, precision=lax.Precision.HIGHEST)
