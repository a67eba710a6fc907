"""XLA's options for each platform; every jit of this package is made here."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax

from rdvar_jax.devices.canary import check_compiler, was_right
from rdvar_jax.devices.forked import NotInFork, refuse_in_fork
from rdvar_jax.devices.kept_files import uses_kept_files
from rdvar_jax.devices.kept_programs import KeptPrograms
from rdvar_jax.devices.made_from import code_in_programs, describe

# Operations that XLA on CPU runs with the library YNNPACK: single matrix products. Not reductions,
# some of which jaxlib 0.10.2 gets wrong (jax-ml/jax#39103), and not convolutions, which run two to
# three times faster with Eigen where they have a stride or are gradients (docs/performance.md).
CPU_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}


def compiled(
    fn: Callable, *, platform: str, made_from: str | None = None, **options: Any
) -> Callable:
    """Returns `jax.jit(fn)` with the compiler options of a platform; only export has others.

    A call in a process that was forked after an earlier one raises a UserError instead of hanging.
    On CPU the compiled programs are kept for other processes, if it is known what they are made
    from (`devices/kept_programs.py`).

    Args:
        fn: the function.
        platform: of the devices that run it: "cpu", "gpu", ...
        made_from: all that the function depends on besides versions of JAX, as text; by default
          what was noted of it (`note_made_from`).
        **options: of `jax.jit`.

    Raises:
        CompilerError: the compiler is known to compute wrong numbers here; see `check_compiler`.
    """
    refuse_in_fork()
    compiler_options = _cpu_options() if platform == "cpu" else None
    check_compiler(platform, compiler_options)
    jit = partial(jax.jit, compiler_options=compiler_options, **options)
    source = _source_of(fn, made_from, options) if platform == "cpu" else None
    if source is None:
        return NotInFork(jit(fn))
    return NotInFork(KeptPrograms(fn, jit, source, compiler_options))


def fetch(function: Callable, device: Any, *args: Any) -> Any:
    """Begins to load a function's kept program in a thread; see `KeptPrograms.fetch`.

    Args:
        function: of `compiled`.
        device: of the arguments.
        *args: trees of their shapes.

    Returns:
        The tree of the outputs' shapes; None if there is no such program.
    """
    begin = getattr(function, "fetch", None)
    return None if begin is None else begin(device, *args)


def _source_of(fn: Callable, made_from: str | None, options: dict[str, Any]) -> str | None:
    """Describes a jitted function in words that are equal in every process; None if unknown."""
    if not uses_kept_files():
        return None
    if made_from is None:
        noted, code = describe(fn), code_in_programs()
        if noted is None or code is None:
            return None
        made_from = f"{noted}, code {code}"
    told = describe(options)
    return None if told is None else f"{made_from}, {told}"


@cache
def _cpu_options() -> dict[str, str] | None:
    """Returns `CPU_OPTIONS` for `jax.jit`, or None if this version of XLA lacks the option."""
    if was_right("cpu", CPU_OPTIONS):
        return CPU_OPTIONS
    try:
        jax.jit(lambda: 0, compiler_options=CPU_OPTIONS).lower().compile()
    except jax.errors.JaxRuntimeError:
        return None
    return CPU_OPTIONS
