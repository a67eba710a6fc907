"""What every command starts with: the log, and JAX with its kept programs."""

import logging
import os
import sys

logger = logging.getLogger("rdvar_jax")


def start_logging() -> None:
    """Shows what the program reports on standard error, and nothing of what orbax does."""
    # A handler of our own: some libraries give the root logger one as soon as they are imported.
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
    logger.setLevel(logging.INFO)
    logging.getLogger("absl").setLevel(logging.ERROR)  # orbax tells of each of its options


def start_jax() -> None:
    """Keeps compiled programs between runs; `JAX_COMPILATION_CACHE_DIR` chooses the place."""
    from rdvar_jax.devices.malloc import keep_freed_memory

    keep_freed_memory()  # before JAX starts its threads
    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        from rdvar_jax.weights.catalogue import cache_dir

        jax.config.update("jax_compilation_cache_dir", os.fspath(cache_dir().parent / "xla"))
    # Many small programs add up: every one is kept.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
