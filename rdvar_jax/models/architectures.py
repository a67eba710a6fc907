"""The five backbones and what follows from each for the bottleneck and the decoder."""

from dataclasses import dataclass
from typing import TypeAlias

from rdvar_jax.models.blocks import BasicBlock, Bottleneck

# Stem width of every torchvision ResNet. Narrower nets are for small teachers and tests.
IMAGENET_WIDTH = 64

# The teacher's deepest map is 1/16 of the image and the bottleneck halves it once more.
SIZE_MULTIPLE = 32

# S, or (H, W).
ImageSize: TypeAlias = int | tuple[int, int]


def height_width(size: ImageSize) -> tuple[int, int]:
    """H and W."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


@dataclass(frozen=True)
class Architecture:
    """One backbone.

    Attributes:
        block: residual block class.
        stage_blocks: blocks in the teacher's layer1, layer2, layer3. RD4AD's decoder has the same
          counts from deep to shallow, not mirrored.
        ocbe_blocks: blocks of the one-class embedding.
        width_factor: 2 for the "wide" nets, whose 3x3 convolutions are twice as wide.
    """

    block: type[BasicBlock] | type[Bottleneck]
    stage_blocks: tuple[int, int, int]
    ocbe_blocks: int
    width_factor: int = 1

    @property
    def expansion(self) -> int:
        """Channels out of a block per plane."""
        return 4 if self.block is Bottleneck else 1


ARCHITECTURES = {
    "resnet18": Architecture(BasicBlock, (2, 2, 2), ocbe_blocks=2),
    "resnet34": Architecture(BasicBlock, (3, 4, 6), ocbe_blocks=3),
    "resnet50": Architecture(Bottleneck, (3, 4, 6), ocbe_blocks=3),
    "wide_resnet50_2": Architecture(Bottleneck, (3, 4, 6), ocbe_blocks=3, width_factor=2),
    "wide_resnet101_2": Architecture(Bottleneck, (3, 4, 23), ocbe_blocks=3, width_factor=2),
}
