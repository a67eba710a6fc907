"""The small teacher that comes with the package: no download, trained without photographs.

It is not a substitute for ImageNet weights where those are available; docs/teacher_card.md has its
results. `tools/pretrain_teacher.py` makes it.
"""

from pathlib import Path

PROCEDURAL = "procedural"  # its name in teacher.weights
ARCH = "resnet18"
STEM_WIDTH = 32


def procedural_path() -> Path:
    """Returns the packaged safetensors file, with torchvision's names."""
    return Path(__file__).parent / "data" / "procedural_resnet18.safetensors"
