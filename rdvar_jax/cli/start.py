"""Set-up of every command: logging, and JAX with its compilation cache."""

import logging
import os
import sys

from rdvar_jax.cli.quick_imports import quick_imports
from rdvar_jax.errors import OneLineFormatter

logger = logging.getLogger("rdvar_jax")


def start_logging() -> None:
    """Logs to standard error, without the messages of orbax."""
    # Our own handler, because some libraries add one to the root logger when imported.
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(OneLineFormatter("%(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
    logger.setLevel(logging.INFO)
    logging.getLogger("absl").setLevel(logging.ERROR)  # orbax logs each of its options


def prepare_memory() -> None:
    """Refuses limits on memory that are too low, and sets up malloc."""
    from rdvar_jax.devices.malloc import keep_freed_memory
    from rdvar_jax.files.exhausted import check_address_space

    check_address_space()
    keep_freed_memory()


def start_jax() -> None:
    """Sets up the compilation cache; `JAX_COMPILATION_CACHE_DIR` overrides its folder."""
    prepare_memory()  # before JAX starts its threads
    with quick_imports():
        import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        from rdvar_jax.files.replacing import cache_folder

        jax.config.update("jax_compilation_cache_dir", os.fspath(cache_folder() / "xla"))
    # Caches every program, because many small ones add up.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
