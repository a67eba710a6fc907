"""malloc settings that keep freed memory in the process.

XLA on CPU allocates the temporary arrays of a step, gigabytes of them, again in each step. glibc
returns such large blocks to the system at once, and the system clears every page when it hands them
out again: a seventh of a train step's time (docs/performance.md).
"""

import ctypes
import os
import sys

# glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> bool:
    """Makes malloc keep freed memory for reuse, until the process ends.

    Call it before threads are started. Does nothing if the C library is not glibc, or if the
    environment configures malloc (`MALLOC_...`, `GLIBC_TUNABLES`).

    Returns:
        Whether malloc keeps freed memory now.
    """
    told = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if told or sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    # One heap for all threads, without mmap or trimming. Additional heaps are limited in size, and
    # larger requests would use mmap after all.
    settings = ((M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1))
    return all(libc.mallopt(name, value) == 1 for name, value in settings)
