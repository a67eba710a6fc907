"""A small program with known answers: a compiler that gets it wrong must not compute scores.

jaxlib 0.10.2 with its own options is such a compiler (jax-ml/jax#39103). The program is compiled
with the options of all others and run once per version, processor and options; a file in the user's
cache folder records that it was right.
"""

import hashlib
import json
import os
import platform as system
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxlib.version import __version__ as jaxlib_version

from rdvar_jax.devices.instruction_sets import instruction_sets
from rdvar_jax.devices.kept_files import programs_folder
from rdvar_jax.errors import CompilerError

# Of the answers' largest value. Sums of float32 err by 1e-6, known faults by 2e-3 and more.
TOLERANCE = 1e-5
TOLERANCE_ELSEWHERE = 1e-4  # than on CPU: other algorithms of convolution

# Versions of jax with which this package passes its tests, and the Python that they are for.
TESTED = {"0.10.2": "Python 3.11 or newer", "0.12.0.1": "Python 3.12 or newer"}

# Counts changes of the program, so that it runs again after one.
PROGRAM = 1


def check_compiler(platform: str, options: Mapping[str, str] | None) -> None:
    """Compares a compiled program with its known answers, once per process and kind of machine.

    Takes 0.2 s, or nothing where it was right before.

    Args:
        platform: "cpu", "gpu", ...; the program runs on this process's first such device.
        options: compiler options of XLA.

    Raises:
        CompilerError: an answer is wrong.
    """
    _check(platform, None if options is None else tuple(sorted(options.items())))


@cache
def _check(platform: str, pairs: tuple[tuple[str, str], ...] | None) -> None:
    options = None if pairs is None else dict(pairs)
    device = jax.local_devices(backend=platform)[0]
    facts = compiler_facts(device, options)
    record = _record_of(facts)
    if record.exists():
        return
    wrong = find_wrong_answer(device, options)
    if wrong:
        raise CompilerError(_sentence(device, wrong))
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps(facts, indent=1) + "\n")  # its existence says all
    except OSError:
        pass  # the next process runs the program again


def was_right(platform: str, options: Mapping[str, str]) -> bool:
    """Tells whether an earlier check of these options passed on this kind of machine."""
    device = jax.local_devices(backend=platform)[0]
    return _record_of(compiler_facts(device, options)).exists()


def find_wrong_answer(device: Any, options: dict[str, Any] | None) -> str | None:
    """Runs the program; returns the first wrong answer, as "NAME: FOUND where RIGHT is right"."""
    inputs = _inputs()
    placed = jax.device_put(inputs, device)
    # Ahead of time, since the caller may be tracing.
    program = jax.jit(_program).lower(*placed).compile(options)
    answers = jax.device_get(program(*placed))
    tolerance = TOLERANCE if device.platform == "cpu" else TOLERANCE_ELSEWHERE
    for name, right in _right_answers(*inputs).items():
        found = answers[name].astype(np.float64)
        error = np.abs(found - right)
        if not error.max() <= tolerance * np.abs(right).max():  # so that NaN is wrong too
            worst = np.unravel_index(np.argmax(error), error.shape)
            return f"{name}: {found[worst]:.8g} where {right[worst]:.8g} is right"
    return None


def _inputs() -> tuple[np.ndarray, ...]:
    """Rows [R, 3]; images and cotangent of a convolution, its kernel; a matrix: of odd sizes."""
    rng = np.random.default_rng(0)
    rows = np.arange(32769 * 3, dtype=np.float32).reshape(-1, 3)
    shapes = (3, 37, 41, 8), (3, 19, 21, 5), (3, 3, 8, 5), (8, 17)
    return rows, *(rng.standard_normal(shape, dtype=np.float32) for shape in shapes)


def _program(rows, images, cotangent, kernel, matrix):
    def convolve(x, k):
        layout = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            x, k, (2, 2), ((1, 1), (1, 1)), dimension_numbers=layout, precision="highest"
        )

    def sum_of_squares(row):
        product = jnp.matmul(jnp.eye(3, dtype=row.dtype), row, precision="highest")
        return jnp.sum(product**2)

    convolved, gradient = jax.vjp(lambda x: convolve(x, kernel), images)
    return {
        "sums of rows": jax.vmap(sum_of_squares)(rows),
        "convolution": convolved,
        "gradient of a convolution": gradient(cotangent)[0],
        "mean of a batch": images.mean((0, 1, 2)),
        "product of matrices": jnp.matmul(images, matrix, precision="highest"),
    }


def _right_answers(*inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the answers in float64, computed by numpy alone."""
    rows, images, cotangent, kernel, matrix = (x.astype(np.float64) for x in inputs)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    padded_gradient, convolved = np.zeros_like(padded), np.zeros_like(cotangent)
    _, height, width, _ = cotangent.shape
    for i, j in np.ndindex(3, 3):
        window = np.s_[:, i : i + 2 * height : 2, j : j + 2 * width : 2]
        convolved += padded[window] @ kernel[i, j]
        padded_gradient[window] += cotangent @ kernel[i, j].T
    return {
        "sums of rows": (rows**2).sum(-1),
        "convolution": convolved,
        "gradient of a convolution": padded_gradient[:, 1:-1, 1:-1],
        "mean of a batch": images.mean((0, 1, 2)),
        "product of matrices": images @ matrix,
    }


def compiler_facts(device: Any, options: Mapping[str, str] | None) -> dict[str, Any]:
    """Returns everything that compiled programs depend on, besides their source."""
    return {
        "program": PROGRAM,
        "jax": jax.__version__,
        "jaxlib": jaxlib_version,
        "platform": device.platform,
        "device": device.device_kind,
        "platform_version": device.client.platform_version,
        "machine": system.machine(),
        "cores": os.cpu_count(),
        "instruction_sets": instruction_sets(),
        "options": None if options is None else sorted(options.items()),
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
    }


def _record_of(facts: dict[str, Any]) -> Path:
    """Returns the path of the file that records a pass, among the compiled programs."""
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return programs_folder() / f"compiler-is-right-{key[:32]}.json"


def _sentence(device: Any, wrong: str) -> str:
    flags = os.environ.get("XLA_FLAGS")
    unset = f"unset XLA_FLAGS, now {flags!r}, or " if flags else ""
    kind = "" if device.device_kind == device.platform else f"{device.device_kind}; "
    others = " or ".join(
        f"pip install jax=={version} jaxlib=={version} ({python})"
        for version, python in TESTED.items()
        if version != jax.__version__
    )
    return (
        f"jax {jax.__version__} with jaxlib {jaxlib_version} computes wrong numbers on "
        f"{device.platform} ({kind}{wrong}), so no result could be trusted; {unset}install another "
        f"version: {others}."
    )
