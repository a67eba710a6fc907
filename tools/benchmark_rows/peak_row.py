"""Speed of products of large matrices on this device: the peak to compare with.

In the precision of the other rows: all bits of float32, tf32, or bfloat16. 2048 x 2048 on a CPU,
and 8192 x 8192 elsewhere, which fills a GPU; or `batch` x `batch`, if that is not 0.
"""

# The clock starts before the large imports.
# ruff: noqa: E402

import time

STARTED = time.perf_counter()

from rdvar_jax.cli.start import start_jax

start_jax()

import jax
import jax.numpy as jnp
from serve import Call, Settings, read_settings, serve

from rdvar_jax.models.precision import compute_dtype

SIDE, SIDE_ELSEWHERE = 2048, 8192
REPEATS = 10  # so that starting a call costs nothing beside it


def main(settings: Settings) -> None:
    usual = SIDE if jax.local_devices()[0].platform == "cpu" else SIDE_ELSEWHERE
    side = settings.batch or usual
    dtype = compute_dtype(settings.precision)

    @jax.jit
    def product(a, b):
        precision = jax.lax.Precision.HIGHEST if settings.precision == "float32" else None
        return jnp.dot(a, b, precision=precision)

    key = jax.random.key(0)
    a, b = (jax.random.normal(k, (side, side), dtype) for k in jax.random.split(key))

    def run():
        jax.block_until_ready([product(a, b) for _ in range(REPEATS)])

    gflop = 2e-9 * side**3 * REPEATS
    serve({"product": Call(run, 0, about={"gflop": gflop})}, STARTED, settings)


if __name__ == "__main__":
    main(read_settings())
