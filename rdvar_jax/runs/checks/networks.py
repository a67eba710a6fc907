"""The sections `teacher` and `compute`."""

from pathlib import Path

from rdvar_jax.models.architectures import ARCHITECTURES
from rdvar_jax.models.precision import PRECISIONS
from rdvar_jax.runs.checks.rules import at_least, one_of
from rdvar_jax.runs.config import WEIGHTS_BY_NAME, Config
from rdvar_jax.weights.procedural import ARCH, PROCEDURAL, STEM_WIDTH


def check_compute(config: Config) -> list[str]:
    """The section `compute`."""
    return one_of("compute.precision", config.compute.precision, PRECISIONS)


def check_teacher(config: Config) -> list[str]:
    """The section `teacher`; of a weight file, that it is there."""
    teacher = config.teacher
    problems = one_of("teacher.arch", teacher.arch, tuple(ARCHITECTURES))
    problems += at_least("teacher.stem_width", teacher.stem_width, 1)
    weights = teacher.weights
    if weights == PROCEDURAL and (teacher.arch, teacher.stem_width) != (ARCH, STEM_WIDTH):
        problems.append(
            f"teacher.weights={PROCEDURAL} needs teacher.arch={ARCH} and "
            f"teacher.stem_width={STEM_WIDTH}, not {teacher.arch} and {teacher.stem_width}; set "
            "them so, or start from configs/demo.py."
        )
    if weights not in WEIGHTS_BY_NAME and not Path(weights).expanduser().is_file():
        problems.append(
            f"teacher.weights={weights} is not a file; give a .pth or .safetensors file, or leave "
            "it empty to use torchvision's weights from the cache or a download."
        )
    return problems
