"""Teacher, one-class embedding and decoder, as torch modules.

Letters in shapes: B batch, C channels of layer1, S side of the image. Features are
[B, C, S/4, S/4], [B, 2C, S/8, S/8] and [B, 4C, S/16, S/16], from the largest to the smallest.

Sources: "Anomaly Detection via Reverse Distillation from One-Class Embedding" (Deng and Li, 2022)
and the names in its public checkpoints; torchvision's ResNets for the teacher.
"""

# torch is not among this project's dependencies, so it is absent where pyright runs.
# pyright: reportMissingImports=false

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

IMAGENET_WIDTH = 64
NUM_CLASSES = 1000  # of the teacher's fc, which is never run

Resample = Literal["none", "down", "up"]


@dataclass(frozen=True)
class Backbone:
    """One ResNet, and what follows from it for the embedding and the decoder.

    Attributes:
        bottleneck: 1x1, 3x3, 1x1 blocks with four times as many channels out; else two 3x3.
        stage_blocks: blocks in the teacher's four stages. The decoder has the first three counts,
          from deep to shallow.
        ocbe_blocks: blocks of the one-class embedding.
        width_factor: by which the 3x3 convolutions of a bottleneck are wider.
    """

    bottleneck: bool
    stage_blocks: tuple[int, int, int, int]
    ocbe_blocks: int
    width_factor: int = 1

    @property
    def expansion(self) -> int:
        """Channels out of a block per plane."""
        return 4 if self.bottleneck else 1

    def stage(self, c_in: int, planes: int, num_blocks: int, resample: Resample) -> nn.Sequential:
        """Blocks, the first of which changes resolution and channels."""
        c_out, width = planes * self.expansion, planes * self.width_factor
        block = Bottleneck if self.bottleneck else BasicBlock
        first = block(c_in, c_out, width, resample)
        rest = [block(c_out, c_out, width, "none") for _ in range(num_blocks - 1)]
        return nn.Sequential(first, *rest)


BACKBONES = {
    "resnet18": Backbone(False, (2, 2, 2, 2), ocbe_blocks=2),
    "resnet34": Backbone(False, (3, 4, 6, 3), ocbe_blocks=3),
    "resnet50": Backbone(True, (3, 4, 6, 3), ocbe_blocks=3),
    "wide_resnet50_2": Backbone(True, (3, 4, 6, 3), ocbe_blocks=3, width_factor=2),
    "wide_resnet101_2": Backbone(True, (3, 4, 23, 3), ocbe_blocks=3, width_factor=2),
}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions; the first one resamples, going up as a 2x2 deconvolution."""

    def __init__(self, c_in: int, c_out: int, width: int, resample: Resample):
        del width  # both blocks are built alike
        super().__init__()
        self.conv1 = _resampling_conv(c_in, c_out, resample)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = _conv(c_out, c_out, 3)
        self.bn2 = nn.BatchNorm2d(c_out)
        _add_shortcut(self, c_in, c_out, resample)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        y += _shortcut(self, x)
        return F.relu(y, inplace=True)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1; the middle one resamples, going up as a 2x2 deconvolution."""

    def __init__(self, c_in: int, c_out: int, width: int, resample: Resample):
        super().__init__()
        self.conv1 = _conv(c_in, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _resampling_conv(width, width, resample)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _conv(width, c_out, 1)
        self.bn3 = nn.BatchNorm2d(c_out)
        _add_shortcut(self, c_in, c_out, resample)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        y += _shortcut(self, x)
        return F.relu(y, inplace=True)


class Teacher(nn.Module):
    """torchvision's ResNet. All of it is built, so that published weights load strictly."""

    def __init__(self, backbone: Backbone, stem_width: int):
        super().__init__()
        self.conv1 = _conv(3, stem_width, 7, stride=2)
        self.bn1 = nn.BatchNorm2d(stem_width)
        c_in = stem_width
        for index, num_blocks in enumerate(backbone.stage_blocks):
            planes = stem_width * 2**index
            resample = "none" if index == 0 else "down"
            stage = backbone.stage(c_in, planes, num_blocks, resample)
            self.add_module(f"layer{index + 1}", stage)
            c_in = planes * backbone.expansion
        self.fc = nn.Linear(c_in, NUM_CLASSES)

    def forward(self, x, run_layer4: bool = False):
        """Three features of images [B, 3, S, S], after the last ReLU of each stage.

        Args:
            x: normalised images.
            run_layer4: run the fourth stage and drop its result, as RD4AD's code does.
        """
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        f1 = self.layer1(x)
        f2 = self.layer2(f1)
        f3 = self.layer3(f2)
        if run_layer4:
            self.layer4(f3)
        return [f1, f2, f3]


class OneClassEmbedding(nn.Module):
    """Fusion and embedding, `bn` in RD4AD's checkpoints."""

    def __init__(self, backbone: Backbone, stem_width: int):
        super().__init__()
        c = stem_width * backbone.expansion
        self.bn_layer = backbone.stage(12 * c, 8 * stem_width, backbone.ocbe_blocks, "down")
        self.conv1 = _conv(c, 2 * c, 3, stride=2)
        self.bn1 = nn.BatchNorm2d(2 * c)
        self.conv2 = _conv(2 * c, 4 * c, 3, stride=2)
        self.bn2 = nn.BatchNorm2d(4 * c)
        self.conv3 = _conv(2 * c, 4 * c, 3, stride=2)
        self.bn3 = nn.BatchNorm2d(4 * c)
        # RD4AD builds and saves these two and never runs them.
        self.conv4 = _conv(16 * c, 8 * c, 1)
        self.bn4 = nn.BatchNorm2d(8 * c)

    def forward(self, features):
        """The embedding [B, 8C, S/32, S/32] of the teacher's three features."""
        f1, f2, f3 = features
        f1 = F.relu(self.bn1(self.conv1(f1)), inplace=True)
        f1 = F.relu(self.bn2(self.conv2(f1)), inplace=True)
        f2 = F.relu(self.bn3(self.conv3(f2)), inplace=True)
        return self.bn_layer(torch.cat([f1, f2, f3], dim=1))


class Decoder(nn.Module):
    """The reversed ResNet; its layer1 is the deepest stage and mimics the teacher's layer3."""

    def __init__(self, backbone: Backbone, stem_width: int):
        super().__init__()
        c_in = 8 * stem_width * backbone.expansion
        for index, num_blocks in enumerate(backbone.stage_blocks[:3]):
            planes = stem_width * 2 ** (2 - index)
            self.add_module(f"layer{index + 1}", backbone.stage(c_in, planes, num_blocks, "up"))
            c_in = planes * backbone.expansion

    def forward(self, embedding):
        """The paper's D1, D2, D3, shaped like the teacher's features."""
        d3 = self.layer1(embedding)
        d2 = self.layer2(d3)
        d1 = self.layer3(d2)
        return [d1, d2, d3]


class Networks(NamedTuple):
    """The frozen teacher and both trained networks, under RD4AD's names."""

    teacher: Teacher
    bn: OneClassEmbedding
    decoder: Decoder


def build_networks(arch: str | Backbone, stem_width: int = IMAGENET_WIDTH) -> Networks:
    """Builds a backbone, or one of `BACKBONES`, with RD4AD's and torchvision's initialisation.

    Convolutions: `kaiming_normal_` with fan-out. Deconvolutions: torch's default, which is
    U(-b, b) with b = 1 / sqrt(4 * channels out). Batch normalisation: 1 and 0. The teacher is in
    evaluation mode and stays there.
    """
    backbone = BACKBONES[arch] if isinstance(arch, str) else arch
    networks = Networks(
        Teacher(backbone, stem_width),
        OneClassEmbedding(backbone, stem_width),
        Decoder(backbone, stem_width),
    )
    for network in networks:
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    networks.teacher.eval()
    return networks


def normalise(images, dtype=torch.float32):
    """ImageNet normalisation of uint8 images [B, S, S, 3] to [B, 3, S, S], as torchvision's."""
    images = images.permute(0, 3, 1, 2).to(dtype) / 255
    mean = torch.tensor([0.485, 0.456, 0.406], dtype=dtype, device=images.device)
    deviation = torch.tensor([0.229, 0.224, 0.225], dtype=dtype, device=images.device)
    return (images - mean[:, None, None]) / deviation[:, None, None]


def _conv(c_in: int, c_out: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, kernel_size, stride, padding=kernel_size // 2, bias=False)


def _deconv(c_in: int, c_out: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(c_in, c_out, kernel_size=2, stride=2, bias=False)


def _resampling_conv(c_in: int, c_out: int, resample: Resample) -> nn.Module:
    if resample == "up":
        return _deconv(c_in, c_out)
    return _conv(c_in, c_out, 3, stride=2 if resample == "down" else 1)


def _add_shortcut(block: nn.Module, c_in: int, c_out: int, resample: Resample) -> None:
    """Gives the block `upsample` or `downsample` where its output is shaped unlike its input."""
    norm = nn.BatchNorm2d(c_out)
    if resample == "up":
        block.upsample = nn.Sequential(_deconv(c_in, c_out), norm)
    elif resample == "down" or c_in != c_out:
        stride = 2 if resample == "down" else 1
        block.downsample = nn.Sequential(_conv(c_in, c_out, 1, stride), norm)


def _shortcut(block: nn.Module, x):
    for name in ("upsample", "downsample"):
        if hasattr(block, name):
            return getattr(block, name)(x)
    return x
