"""Backbones: the only list of them, and their detection from weight shapes.

Without JAX, so that settings can be checked before it is loaded.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rdvar_jax.errors import ConfigError

# Stem width of every torchvision ResNet. Narrower nets are for small teachers and tests.
IMAGENET_WIDTH = 64


@dataclass(frozen=True)
class Architecture:
    """A backbone, which also determines the bottleneck and the decoder.

    Attributes:
        block: residual block: "basic" (two 3x3 convolutions) or "bottleneck" (1x1, 3x3, 1x1).
        stage_blocks: blocks in the teacher's layer1, layer2, layer3. RD4AD's decoder has the same
          counts from deep to shallow, not mirrored.
        ocbe_blocks: blocks of the one-class embedding.
        width_factor: 2 for the "wide" nets, whose 3x3 convolutions are twice as wide.

    Example:
        >>> Architecture("bottleneck", (3, 4, 6), ocbe_blocks=3, width_factor=2).name
        'wide_resnet50_2'
        >>> Architecture("basic", (1, 1, 1), ocbe_blocks=1).name
        'basic-1-1-1-ocbe1'
    """

    block: Literal["basic", "bottleneck"]
    stage_blocks: tuple[int, int, int]
    ocbe_blocks: int
    width_factor: int = 1

    @property
    def expansion(self) -> int:
        """Output channels of a block per plane."""
        return 4 if self.block == "bottleneck" else 1

    @property
    def name(self) -> str:
        """Name in `ARCHITECTURES`, or one that spells the backbone out.

        `find_architecture` reads both, so any backbone can be a setting (`teacher.arch`).
        """
        for name, architecture in ARCHITECTURES.items():
            if architecture == self:
                return name
        width = f"-width{self.width_factor}" if self.width_factor > 1 else ""
        blocks = "-".join(map(str, self.stage_blocks))
        return f"{self.block}-{blocks}-ocbe{self.ocbe_blocks}{width}"

    def num_features(self, stem_width: int, num_pixels: int) -> int:
        """Counts the values in the teacher's three maps of an image of `num_pixels`."""
        channels = stem_width * self.expansion
        # [H/4, W/4, C], [H/8, W/8, 2C], [H/16, W/16, 4C]
        return sum(num_pixels // 16 // 4**k * channels * 2**k for k in range(3))


ARCHITECTURES = {
    "resnet18": Architecture("basic", (2, 2, 2), ocbe_blocks=2),
    "resnet34": Architecture("basic", (3, 4, 6), ocbe_blocks=3),
    "resnet50": Architecture("bottleneck", (3, 4, 6), ocbe_blocks=3),
    "wide_resnet50_2": Architecture("bottleneck", (3, 4, 6), ocbe_blocks=3, width_factor=2),
    "wide_resnet101_2": Architecture("bottleneck", (3, 4, 23), ocbe_blocks=3, width_factor=2),
}

# Recognised by their weights, so that a message can name them; RD4AD has no bottleneck for these.
_ONLY_BY_WEIGHTS = {
    ("bottleneck", (3, 4, 23), 1): "resnet101",
    ("bottleneck", (3, 8, 36), 1): "resnet152",
}

_SPELLED_OUT = re.compile(
    r"(basic|bottleneck)-([1-9]\d?)-([1-9]\d?)-([1-9]\d?)-ocbe([1-9]\d?)(?:-width([1-9]))?"
)


def find_architecture(name: str) -> Architecture | None:
    """Finds the backbone of a name in `ARCHITECTURES`, or of a name that spells it out."""
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    spelled = _SPELLED_OUT.fullmatch(name)
    if spelled is None:
        return None
    block: Any
    block, *numbers = spelled.groups(default="1")
    first, second, third, ocbe_blocks, width_factor = map(int, numbers)
    return Architecture(block, (first, second, third), ocbe_blocks, width_factor)


def get_architecture(arch: str | Architecture) -> Architecture:
    """Finds the backbone of a name; returns an `Architecture` unchanged.

    Raises:
        ConfigError: there is no backbone of that name.
    """
    found = arch if isinstance(arch, Architecture) else find_architecture(arch)
    if found is None:
        raise ConfigError(
            f"{arch!r} is not a backbone; use one of {', '.join(ARCHITECTURES)}, or spell one out "
            "as in basic-1-1-1-ocbe1."
        )
    return found


def architecture_of_shapes(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """Recognises a network by its weights; returns torchvision's name, or None.

    Args:
        shapes: torch's names to shapes in torch's layouts: `[O, I, kh, kw]` and so on. layer4 is
          ignored: a teacher does not need it.
    """
    if shapes.get("conv1.weight") != (IMAGENET_WIDTH, 3, 7, 7):
        return None
    blocks = []
    for layer in ("layer1", "layer2", "layer3"):
        numbers = {name.split(".")[1] for name in shapes if name.startswith(f"{layer}.")}
        if numbers != {str(number) for number in range(len(numbers))}:
            return None
        blocks.append(len(numbers))
    shape = shapes.get("layer1.0.conv2.weight", ())
    if len(shape) != 4 or shape[0] != shape[1]:  # unequal: grouped, so a ResNeXt
        return None
    block = "bottleneck" if "layer1.0.conv3.weight" in shapes else "basic"
    known = {(a.block, a.stage_blocks, a.width_factor): name for name, a in ARCHITECTURES.items()}
    signature: Any = (block, tuple(blocks), shape[0] / IMAGENET_WIDTH)
    return (known | _ONLY_BY_WEIGHTS).get(signature)
