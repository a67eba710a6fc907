"""The scoring function: uint8 images in, anomaly maps and image scores out."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from rdvar_jax.devices.compiler import compiled, fetch
from rdvar_jax.devices.made_from import note_made_from
from rdvar_jax.devices.parallel import Parallel, made_once
from rdvar_jax.models.fold import fold_batch_norm
from rdvar_jax.models.image_size import ImageSize, height_width
from rdvar_jax.models.precision import compute_dtype, with_precision
from rdvar_jax.models.prepared_kernels import with_prepared_kernels
from rdvar_jax.models.student import StudentNetwork, student_input
from rdvar_jax.models.teacher import Teacher, normalise
from rdvar_jax.scoring.device_pooling import pooled
from rdvar_jax.scoring.maps import SIGMA, make_map_fn
from rdvar_jax.scoring.pooling import MAX, Pooling, unpack_pixels


@made_once
def make_score_step(
    teacher: Teacher,
    student: StudentNetwork,
    image_size: ImageSize,
    sigma: float = SIGMA,
    precision: str = "tf32",
    pooling: Pooling = MAX,
    ignored: bytes | None = None,
) -> Callable:
    """Makes (teacher_variables, student_variables, images) -> (maps, scores), pure.

    `images` is uint8 [B, H, W, 3]; maps are [B, H, W] and scores [B], float32. The score is the
    maximum of the blurred map (RD4AD), or the mean of the share `pooling` of its pixels, the
    highest. Neither is clamped or rescaled. Variables prepared by `make_prepare_fn` are faster.

    Pixels that are `ignored`, bool [H, W] from `pack_pixels`, do not count, and maps are 0 there.
    """
    height, width = height_width(image_size)
    map_fn = make_map_fn(student.merging, height, width, sigma)
    dtype = compute_dtype(precision)
    left_out = unpack_pixels(ignored, (height, width))

    def score_step(teacher_variables, student_variables, images):
        images = normalise(images, dtype)
        targets = teacher.apply(teacher_variables, images)
        seen = student_input(student, images, targets)
        maps = map_fn(targets, student.apply(student_variables, seen, train=False))
        scores = pooled(maps, pooling, left_out)
        return maps if left_out is None else jnp.where(left_out, 0, maps), scores

    return with_precision(precision, score_step)


@made_once
def make_prepare_fn(
    teacher: Teacher,
    student: StudentNetwork,
    image_size: ImageSize,
    batch_size: int,
    parallel: Parallel,
    precision: str = "tf32",
) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Makes the jitted function that prepares variables for fast scoring.

    Batch normalisation is folded into the convolutions. On CPU in float32, kernels
    also take the form that is fastest for the shapes (`models/prepared_kernels.py`).

    Args:
        teacher: the teacher's module.
        student: the student's module.
        image_size: S or (H, W).
        batch_size: images per call, over all devices.
        parallel: the devices.
        precision: one of `PRECISIONS`.

    Returns:
        (teacher_variables, student_variables) -> the same, for scoring only.
    """
    dtype = compute_dtype(precision)
    images = jax.ShapeDtypeStruct(
        (max(1, batch_size // parallel.num_devices), *height_width(image_size), 3), dtype
    )
    on_cpu = parallel.devices[0].platform == "cpu"

    def prepare(teacher_variables, student_variables):
        folded_teacher, folded_student = (
            fold_batch_norm(variables) if "batch_stats" in variables else variables
            for variables in (teacher_variables, student_variables)
        )
        if not on_cpu or dtype != jnp.float32:
            return folded_teacher, folded_student
        features = jax.eval_shape(teacher.apply, folded_teacher, images)
        seen = student_input(student, images, features)
        return (
            with_prepared_kernels(teacher, folded_teacher, images),
            with_prepared_kernels(student, folded_student, seen, train=False),
        )

    networks = teacher, student, image_size, batch_size
    note_made_from(prepare, make_prepare_fn.__qualname__, *networks, parallel, precision)
    return compiled(prepare, platform=parallel.devices[0].platform)


def fetch_programs(
    teacher: Teacher,
    student: StudentNetwork,
    image_size: ImageSize,
    batch_size: int,
    parallel: Parallel,
    sigma: float,
    precision: str,
    pooling: Pooling,
    ignored: bytes | None,
    teacher_shapes: Any,
    student_shapes: Any,
) -> None:
    """Begins to load kept programs of `make_prepare_fn` and `make_score_fn`, in a thread.

    Meanwhile the variables can be read. Nothing happens where the programs are not kept.

    Args:
        teacher, student, image_size, batch_size, parallel, sigma, precision, pooling, ignored: as
            there.
        teacher_shapes: of the variables as in training.
        student_shapes: likewise.
    """
    if parallel.num_devices != 1:
        return
    (device,) = parallel.devices
    prepare = make_prepare_fn(teacher, student, image_size, batch_size, parallel, precision)
    step = parallel.wrap(
        make_score_step(teacher, student, image_size, sigma, precision, pooling, ignored),
        split=(False, False, True),
        split_output=True,
    )
    prepared = fetch(prepare, device, teacher_shapes, student_shapes)
    if prepared is not None:
        images = parallel.batch_shape((batch_size, *height_width(image_size), 3))
        fetch(step, device, *prepared, jax.ShapeDtypeStruct(images, jnp.uint8))


def make_score_fn(
    teacher: Teacher,
    student: StudentNetwork,
    image_size: ImageSize,
    batch_size: int,
    parallel: Parallel,
    sigma: float = SIGMA,
    precision: str = "tf32",
    pooling: Pooling = MAX,
    ignored: bytes | None = None,
) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Makes the jitted, batched function that scores any number of images.

    Args:
        teacher: the teacher's module.
        student: the student's module.
        image_size: S or (H, W).
        batch_size: images per call of the compiled function, a multiple of the number of devices.
          The last batch is padded to it, so there is one compiled program.
        parallel: devices over which each batch is sharded.
        sigma: of the blur, in pixels.
        precision: one of `PRECISIONS`.
        pooling: "max", or the share of each map's pixels whose mean is the score.
        ignored: as in `make_score_step`.

    Returns:
        score_images(teacher_variables, student_variables, images, progress=False) -> maps
        [N, H, W] and scores [N], float32 numpy. It takes replicated variables, both as in training
        or both prepared (`make_prepare_fn`), and uint8 images [N, H, W, 3] on the host, or any
        object that can be sliced like such an array, or has `batches(batch_size)`.
    """
    step = parallel.wrap(
        make_score_step(teacher, student, image_size, sigma, precision, pooling, ignored),
        split=(False, False, True),
        split_output=True,
    )
    prepare = make_prepare_fn(teacher, student, image_size, batch_size, parallel, precision)

    def score_images(
        teacher_variables: Any, student_variables: Any, images: np.ndarray, progress: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        maps = np.empty((len(images), *height_width(image_size)), np.float32)
        scores = np.empty(len(images), np.float32)
        if "batch_stats" in student_variables:
            teacher_variables, student_variables = prepare(teacher_variables, student_variables)
        with tqdm(
            total=len(images), desc="scoring", unit="img", disable=None if progress else True
        ) as bar:
            start = 0
            for batch in _batches(images, batch_size):
                count = len(batch)
                if count < batch_size:
                    batch = np.pad(batch, ((0, batch_size - count), (0, 0), (0, 0), (0, 0)))
                out = step(teacher_variables, student_variables, parallel.shard_batch(batch))
                batch_maps, batch_scores = parallel.gather(out)
                maps[start : start + count] = batch_maps[:count]
                scores[start : start + count] = batch_scores[:count]
                start += count
                bar.update(count)
        return maps, scores

    return score_images


def _batches(images: Any, batch_size: int) -> Iterable[np.ndarray]:
    """Cuts images into batches; those that stay on disk decode the next one meanwhile."""
    if hasattr(images, "batches"):
        return images.batches(batch_size)
    return (images[start : start + batch_size] for start in range(0, len(images), batch_size))
