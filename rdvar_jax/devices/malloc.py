"""What the process does with memory that it frees.

XLA on CPU asks for the temporary arrays of a step, gigabytes of them, anew in each step. glibc
gives such large pieces back to the system at once, and the system clears every page when it hands
them out again: a seventh of a train step's time (docs/performance.md).
"""

import ctypes
import os
import sys

# glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> bool:
    """Makes malloc keep what is freed for the next time it is asked, until the process ends.

    Call it before threads are started. Where the C library is not glibc, or the environment says
    how malloc shall behave (`MALLOC_...`, `GLIBC_TUNABLES`), nothing is changed.

    Returns:
        Whether malloc does so now.
    """
    told = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if told or sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    # One heap for all threads, never by mmap, never given back. Several heaps are limited in size,
    # and what does not fit into them would come by mmap after all.
    settings = ((M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1))
    return all(libc.mallopt(name, value) == 1 for name, value in settings)
