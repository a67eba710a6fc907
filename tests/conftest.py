"""Shared test settings: four virtual CPU devices, strict JAX, a compilation cache, real data."""

import os
from pathlib import Path

import jax
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
COMPILATION_CACHE = REPOSITORY / ".cache" / "xla-tests"

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", str(COMPILATION_CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real images and weights; see tests/README.md."""
    folder = Path(os.environ.get("RDVAR_TEST_DATA", REPOSITORY.parent / "shared")).resolve()
    if not (folder / "data").is_dir():
        pytest.skip(f"real data not found in {folder}; set RDVAR_TEST_DATA (tests/README.md)")
    return folder


def pytest_runtest_makereport(item, call):
    """With RDVAR_FAIL_ON_SKIP=1 a skip is a failure: nothing that should run is left out."""
    if os.environ.get("RDVAR_FAIL_ON_SKIP") == "1" and call.excinfo is not None:
        if call.excinfo.errisinstance(pytest.skip.Exception):
            message = f"skipped although RDVAR_FAIL_ON_SKIP=1: {call.excinfo.value}"
            call.excinfo = pytest.ExceptionInfo.from_exception(AssertionError(message))
