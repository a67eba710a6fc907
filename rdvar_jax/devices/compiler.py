"""XLA's options for each platform; every jit of this package is made here."""

from collections.abc import Callable
from functools import cache
from typing import Any

import jax

from rdvar_jax.devices.canary import check_compiler
from rdvar_jax.devices.forked import NotInFork, refuse_in_fork

# Operations that XLA on CPU runs with the library YNNPACK: single matrix products. Not reductions,
# some of which jaxlib 0.10.2 gets wrong (jax-ml/jax#39103), and not convolutions, which run two to
# three times faster with Eigen where they have a stride or are gradients (docs/performance.md).
CPU_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}


def compiled(fn: Callable, *, platform: str, **options: Any) -> Callable:
    """Returns `jax.jit(fn)` with the compiler options of a platform; this package has no other jit.

    A call in a process that was forked after an earlier one raises a UserError instead of hanging.

    Args:
        fn: the function.
        platform: of the devices that run it: "cpu", "gpu", ...
        **options: of `jax.jit`.

    Raises:
        CompilerError: the compiler is known to compute wrong numbers here; see `check_compiler`.
    """
    refuse_in_fork()
    compiler_options = _cpu_options() if platform == "cpu" else None
    check_compiler(platform, compiler_options)
    return NotInFork(jax.jit(fn, compiler_options=compiler_options, **options))


@cache
def _cpu_options() -> dict[str, str] | None:
    """Returns `CPU_OPTIONS` for `jax.jit`, or None if this version of XLA lacks the option."""
    try:
        jax.jit(lambda: 0, compiler_options=CPU_OPTIONS).lower().compile()
    except jax.errors.JaxRuntimeError:
        return None
    return CPU_OPTIONS
