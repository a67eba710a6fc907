"""Speed of products of float32 matrices of 2048 x 2048 on this device: the peak to compare with.

All bits of float32, as the other rows have them. The peak of a matrix unit at fewer bits is
higher.
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

SIDE = 2048
REPEATS = 10  # so that starting a call costs nothing beside it


def main(settings: Settings) -> None:
    @jax.jit
    def product(a, b):
        return jnp.dot(a, b, precision=jax.lax.Precision.HIGHEST)

    key = jax.random.key(0)
    a, b = (jax.random.normal(k, (SIDE, SIDE), jnp.float32) for k in jax.random.split(key))

    def run():
        jax.block_until_ready([product(a, b) for _ in range(REPEATS)])

    gflop = 2e-9 * SIDE**3 * REPEATS
    serve({"product": Call(run, 0, about={"gflop": gflop})}, STARTED, settings)


if __name__ == "__main__":
    main(read_settings())
