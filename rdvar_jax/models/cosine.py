"""Cosine similarity and the distance of unit vectors, shared by the losses and the anomaly map."""

import jax.numpy as jnp
from jax import lax

EPSILON = 1e-8


def cosine_similarity(a, b, axis: int):
    """Cosine of the angle between `a` and `b` along `axis`, in float32.

    Equal to torch's `cosine_similarity`: a.b / (max(|a|, eps) max(|b|, eps)) with eps 1e-8. The
    squared norms are clamped, not the norms, whose gradient at a zero vector is NaN.
    """
    a, b = a.astype(jnp.float32), b.astype(jnp.float32)
    dot = jnp.sum(a * b, axis)
    return dot * _inverse_norm(a, axis) * _inverse_norm(b, axis)


def unit_distance(a, b, axis: int):
    """Half the squared distance of `a` and `b`, each divided by its length, in float32.

    Equal to 1 - cos, and never negative: small distances keep their digits, of which 1 - cos has
    none below 1e-7.
    """
    a, b = (
        x * jnp.expand_dims(_inverse_norm(x, axis), axis)
        for x in (a.astype(jnp.float32), b.astype(jnp.float32))
    )
    return jnp.sum(jnp.square(a - b), axis) / 2


def _inverse_norm(a, axis: int):
    return lax.rsqrt(jnp.maximum(jnp.sum(jnp.square(a), axis), EPSILON**2))
