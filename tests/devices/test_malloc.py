"""Freed memory is reused without page faults."""

import os
import subprocess
import sys

CODE = """
import resource, sys
from rdvar_jax.devices.malloc import keep_freed_memory
print(keep_freed_memory())
import numpy as np
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    before = faults()
    array = np.empty(2**25)  # 256 MB: 65536 pages of 4 kB
    array[::256] = 1
    del array
    print(faults() - before)
"""


def run(**environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    # Transparent huge pages would hide the small ones.
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**clean, "NUMPY_MADVISE_HUGEPAGE": "0", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    kept, *counts = done.stdout.split()
    return kept == "True", [int(count) for count in counts]


def test_memory_is_taken_from_the_system_only_once():
    kept, (first, _, third) = run()
    assert kept
    assert third < first / 100


def test_a_setting_in_the_environment_is_left_alone():
    kept, (first, _, third) = run(MALLOC_TRIM_THRESHOLD_="131072")
    assert not kept
    assert third > first / 2
