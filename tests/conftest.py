"""Shared test settings: four virtual CPU devices, strict JAX, a compilation cache, real data."""

import os
import signal
from importlib.metadata import version

# Most of the suite's time is compilation: no LLVM optimisations, and, where it is still there, the
# older code generator of fusions, which with one LLVM module a program takes a fifth of the newer
# one's time. XLA reads them when it starts, here and in the processes that tests start, and ends
# the process at a name that it does not know.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
    + " --xla_cpu_use_fusion_emitters=false" * version("jaxlib").startswith("0.10."),
)

# Tests change functions of the package in this process, which a program that is found by its source
# files would not notice; and JAX's own cache, unlike ours, is good after a change of any file.
os.environ.setdefault("RDVAR_KEEP_PROGRAMS", "0")

# A shell starts what runs in its background with SIGINT ignored, and so would be what tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import jax
import numpy as np
import pytest
from made_once import made_once
from PIL import Image

from rdvar_jax.devices.parallel import AXIS_NAME
from rdvar_jax.models.build import feature_shapes, image_shape
from rdvar_jax.models.initialise import init_variables
from rdvar_jax.models.student import Student
from rdvar_jax.models.teacher import Teacher
from rdvar_jax.weights.architectures import Architecture

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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """With RDVAR_FAIL_ON_SKIP=1 a skip is a failure: nothing that should run is left out."""
    report = yield
    if report.skipped and os.environ.get("RDVAR_FAIL_ON_SKIP") == "1":
        report.outcome = "failed"
        report.longrepr = f"skipped although RDVAR_FAIL_ON_SKIP=1: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def tiny() -> "Tiny":
    """A narrow pair of one block a stage at 32 px, and eight images: compiles in seconds."""
    return Tiny.make(Architecture("basic", (1, 1, 1), ocbe_blocks=1))


@dataclass(frozen=True)
class Tiny:
    """Networks, their variables as numpy arrays, and images."""

    teacher: Teacher
    student: Student
    teacher_variables: dict
    student_variables: dict
    images: np.ndarray

    SIZE: ClassVar[int] = 32
    WIDTH: ClassVar[int] = 4

    @classmethod
    def make(cls, architecture: Architecture) -> "Tiny":
        teacher = Teacher(architecture, cls.WIDTH)
        student = Student(architecture, cls.WIDTH, AXIS_NAME)
        shapes = feature_shapes("resnet18", cls.WIDTH, cls.SIZE)
        rng = np.random.default_rng(0)
        return cls(
            teacher,
            student,
            init_variables(teacher, image_shape(cls.SIZE), seed=1),
            init_variables(student, shapes, seed=2, train=False),
            rng.integers(0, 256, (8, cls.SIZE, cls.SIZE, 3), dtype=np.uint8),
        )


@pytest.fixture(scope="session")
def toy_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in MVTec layout with one category, "tile": stripes, and a bright disc as defect.

    10 training images, 3 good and 4 defective test images of 64 x 64.
    """
    return made_once(tmp_path_factory, "toy", lambda root: make_toy_category(root / "tile"))


def make_toy_category(folder: Path, num_train: int = 10) -> None:
    """Writes the category of `toy_root`."""
    rng = np.random.default_rng(0)

    def save(pixels: np.ndarray, *parts: str) -> None:
        path = folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)

    def stripes() -> np.ndarray:
        phase = rng.uniform(0, 2 * np.pi)
        wave = np.sin(np.arange(64) * 0.7 + phase)[None, :, None] * 60 + 120
        noise = rng.normal(0, 8, (64, 64, 3))
        return np.clip(wave + noise, 0, 255).astype(np.uint8)

    for index in range(num_train):
        save(stripes(), "train", "good", f"{index:03}.png")
    for index in range(3):
        save(stripes(), "test", "good", f"{index:03}.png")
    rows, columns = np.mgrid[:64, :64]
    for index in range(4):
        disc = np.hypot(rows - 16 - 8 * index, columns - 32) < 9
        image = stripes()
        image[disc] = (250, 240, 40)
        save(image, "test", "spot", f"{index:03}.png")
        save(disc.astype(np.uint8) * 255, "ground_truth", "spot", f"{index:03}_mask.png")
