"""The small teacher that comes with the package: no download, no photograph in its training.

It is no substitute for ImageNet weights where those can be had; docs/teacher_card.md says what it
reaches. `tools/pretrain_teacher.py` makes it.
"""

from pathlib import Path

PROCEDURAL = "procedural"  # what teacher.weights calls it
ARCH = "resnet18"
STEM_WIDTH = 32


def procedural_path() -> Path:
    """The packaged safetensors file, with torchvision's names."""
    return Path(__file__).parent / "data" / "procedural_resnet18.safetensors"
