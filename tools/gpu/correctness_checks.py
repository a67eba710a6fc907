"""Checks a device's numbers against float64: `python correctness_checks.py JSON`.

The JSON holds "goldens", names of files in tests/parity/golden, whose values PyTorch computed in
float64, and "odd_batches". Prints one JSON line for each check, as soon as it is done. Scoring is
checked with each batch size, a train step with the golden batch, and with odd ones against this
library in float64 on the CPU.
"""

# Modules of the tests are not among those that pyright looks at.
# pyright: reportMissingImports=false

import json
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "parity")]

import jax  # noqa: E402
import numpy as np  # noqa: E402
from golden_files import Golden, like_sampled, read_golden  # noqa: E402
from library_model import LibraryModel, double_precision, golden_model  # noqa: E402
from student_names import student_to_torch  # noqa: E402

from rdvar_jax.cli.start import start_jax  # noqa: E402
from rdvar_jax.devices.parallel import Parallel  # noqa: E402
from rdvar_jax.models.student import Student  # noqa: E402
from rdvar_jax.scoring.scores import make_score_fn  # noqa: E402
from rdvar_jax.training.step import make_gradient_fn  # noqa: E402

LOSS = "lambda_0.1"
PRECISIONS = ("float32", "bfloat16")

# Of ||ours - float64|| / ||float64||: several times what a CPU shows. Other devices convolve by
# other algorithms, in float32 too.
BOUNDS = {
    ("maps", "float32"): 1e-5,
    ("scores", "float32"): 1e-5,
    ("losses", "float32"): 1e-5,
    ("gradients", "float32"): 5e-4,  # with TF32's ten bits it would be 2e-3
    ("maps", "bfloat16"): 0.02,
    ("scores", "bfloat16"): 0.02,
    ("losses", "bfloat16"): 0.01,
    ("gradients", "bfloat16"): 0.2,
}


def main() -> None:
    start_jax()
    wanted = json.loads(sys.argv[1])
    device = jax.local_devices()[0]
    for arch in wanted["goldens"]:
        golden, model = read_golden(arch), golden_model(arch)
        for precision in PRECISIONS:
            for check in checks(golden, model, precision, wanted["odd_batches"], device):
                print(json.dumps({"golden": arch, "precision": precision, **check}), flush=True)


def checks(
    golden: Golden, model: LibraryModel, precision: str, odd_batches: list[int], device: Any
) -> Iterator[dict[str, Any]]:
    """Compares scoring and a step in one precision."""
    images = golden.batches[0]
    for batch in sorted({*odd_batches, len(images)}):
        rows = np.arange(batch) % len(images)
        maps, scores = score(model, golden, images[rows], precision, device)
        of_maps, of_scores = golden.values["maps"][rows], golden.values["scores"][rows]
        yield compared("maps", precision, batch, {"maps": maps}, {"maps": of_maps})
        yield compared("scores", precision, batch, {"scores": scores}, {"scores": of_scores})

    gradients, losses = step(model, golden, images, precision, device)
    names = [name for name in golden.values if name.startswith(f"gradient/{LOSS}/")]
    reference = {name: golden.values[name] for name in names}
    found = student_to_torch(gradients)
    ours = {
        name: like_sampled(found[name.removeprefix(f"gradient/{LOSS}/")], reference[name])
        for name in names
    }
    yield compared("gradients", precision, len(images), ours, reference)
    of_losses = {name: golden.values[f"steps/{LOSS}/{name}"][0] for name in losses}
    yield compared("losses", precision, len(images), losses, of_losses)
    for batch in odd_batches:
        if batch <= 2:  # batch statistics of few images magnify rounding
            continue
        odd = images_of(golden, batch)
        right, right_losses = step_in_float64(golden.arch, batch)
        gradients, losses = step(model, golden, odd, precision, device)
        flat, right_flat = (student_to_torch(tree) for tree in (gradients, right))
        yield compared("gradients", precision, batch, flat, right_flat)
        yield compared("losses", precision, batch, losses, right_losses)


def images_of(golden: Golden, batch: int) -> np.ndarray:
    """The golden batch's images, repeated, with noise that makes them different ones."""
    images = golden.batches[0]
    rows = np.arange(batch) % len(images)
    noise = np.random.default_rng(batch).integers(0, 30, (batch, *images.shape[1:]))
    return np.clip(images[rows].astype(int) + noise, 0, 255).astype(np.uint8)


@cache
def step_in_float64(arch: str, batch: int) -> tuple[Any, dict[str, float]]:
    """Gradients and losses of a step on the CPU; both precisions are compared with them."""
    golden = read_golden(arch)
    cpu = jax.local_devices(backend="cpu")[0]
    with double_precision():
        images = images_of(golden, batch)
        return step(golden_model(arch), golden, images, "tf32", cpu, np.float64)


def score(
    model: LibraryModel, golden: Golden, images: np.ndarray, precision: str, device: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Scores a batch as `rdvar predict` does, with prepared variables."""
    student = Student(golden.architecture, golden.stem_width)
    size, parallel = images.shape[1], Parallel("pmap", (device,))
    score_images = make_score_fn(
        model.teacher, student, size, len(images), parallel, precision=precision
    )
    teacher_variables = parallel.replicate(model.teacher_variables)
    student_variables = parallel.replicate(model.student_variables)
    return score_images(teacher_variables, student_variables, images)


def step(
    model: LibraryModel,
    golden: Golden,
    images: np.ndarray,
    precision: str,
    device: Any,
    dtype: type = np.float32,
) -> tuple[Any, dict[str, float]]:
    """Gradients and losses of a train step, of a batch on one device."""
    parallel = Parallel("shard_map", (device,))
    fn = parallel.wrap(
        make_gradient_fn(model.teacher, model.student, golden.losses[LOSS], precision),
        split=(False, False, False, True),
        split_output=False,
    )
    teacher, student = parallel.replicate(
        jax.tree.map(lambda x: x.astype(dtype), (model.teacher_variables, model.student_variables))
    )
    gradients, _, metrics = fn(
        student["params"], student["batch_stats"], teacher, parallel.shard_batch(images)
    )
    parts = {name: float(metrics[name]) for name in ("loss", "loss_model", "loss_var")}
    return jax.device_get(gradients), parts


def compared(
    what: str, precision: str, batch: int, ours: dict[str, Any], reference: dict[str, Any]
) -> dict[str, Any]:
    """{"check", "batch", "error", "bound", "right"}: the error of all arrays together."""
    assert set(ours) == set(reference) and reference
    pairs = [(np.ravel(ours[name]), np.ravel(value)) for name, value in reference.items()]
    found, right = (np.concatenate(each).astype(np.float64) for each in zip(*pairs, strict=True))
    error = float(np.linalg.norm(found - right) / np.linalg.norm(right))
    bound = BOUNDS[what, precision]
    # Not "over the bound", so that NaN is wrong too.
    return {
        "check": what,
        "batch": batch,
        "error": error,
        "bound": bound,
        "right": bool(error <= bound),
    }


if __name__ == "__main__":
    main()
