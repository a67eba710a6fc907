"""Precision policies of the networks.

The networks compute in the dtype of their input, so a policy is the dtype of the images, and for
float32 the number of bits that a matrix unit may drop. Parameters, batch statistics, cosines and
losses are float32 under every policy.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax
import jax.numpy as jnp

# float32: all bits, also on GPUs. tf32: JAX's default, which on GPUs since the A100 keeps 10 bits
# of the mantissa in convolutions and matrix products; on CPU the same as float32. bfloat16: 7
# bits, and feature maps of half the size.
PRECISIONS = ("float32", "tf32", "bfloat16")


def compute_dtype(precision: str) -> Any:
    """Returns the dtype in which the networks compute and feature maps are kept."""
    return jnp.bfloat16 if precision == "bfloat16" else jnp.float32


def with_precision(precision: str, fn: Callable) -> Callable:
    """Wraps `fn` so that its products keep all bits where `precision` is float32."""
    if precision != "float32":
        return fn

    @wraps(fn)
    def exact(*args):
        with jax.default_matmul_precision("highest"):
            return fn(*args)

    return exact
