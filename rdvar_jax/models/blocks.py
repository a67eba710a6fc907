"""Residual blocks, shared by the teacher, the bottleneck and the decoder.

Modules carry torch's names: conv1, bn1, ..., `downsample_conv`/`downsample_bn` for torch's
`downsample.0`/`.1`, and `upsample_deconv`/`upsample_bn` for RD4AD's `upsample.0`/`.1`.
"""

from typing import Literal

import flax.linen as nn
import jax

from rdvar_jax.models.layers import BatchNorm, Conv, Deconv

Resample = Literal["none", "down", "up"]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions (resnet18 and 34). With "up" the first one is a 2x2 deconvolution.

    Attributes:
        features: channels out.
        width: unused, so that both blocks have the same fields.
        resample: "down" halves H and W, "up" doubles them.
        axis_name: mapped axis over which batch statistics are taken.
    """

    features: int
    width: int
    resample: Resample = "none"
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, train: bool):
        y = _resampling_conv(x, self.features, self.resample, "conv1")
        y = jax.nn.relu(BatchNorm(self.axis_name, name="bn1")(y, train))
        y = Conv(self.features, 3, name="conv2")(y)
        y = BatchNorm(self.axis_name, name="bn2")(y, train)
        return jax.nn.relu(
            y + _shortcut(x, self.features, self.resample, self.axis_name, train=train)
        )


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 (resnet50 and up). The stride is on the 3x3, torchvision's "v1.5" order.

    Attributes:
        features: channels out.
        width: channels of the 3x3. With "up" that convolution is a 2x2 deconvolution.
        resample: "down" halves H and W, "up" doubles them.
        axis_name: mapped axis over which batch statistics are taken.
    """

    features: int
    width: int
    resample: Resample = "none"
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, train: bool):
        y = Conv(self.width, 1, name="conv1")(x)
        y = jax.nn.relu(BatchNorm(self.axis_name, name="bn1")(y, train))
        y = _resampling_conv(y, self.width, self.resample, "conv2")
        y = jax.nn.relu(BatchNorm(self.axis_name, name="bn2")(y, train))
        y = Conv(self.features, 1, name="conv3")(y)
        y = BatchNorm(self.axis_name, name="bn3")(y, train)
        return jax.nn.relu(
            y + _shortcut(x, self.features, self.resample, self.axis_name, train=train)
        )


BLOCKS = {"basic": BasicBlock, "bottleneck": Bottleneck}


class Stage(nn.Module):
    """`num_blocks` residual blocks; only the first changes the resolution or the channels."""

    block: Literal["basic", "bottleneck"]
    num_blocks: int
    features: int
    width: int
    resample: Resample
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, train: bool):
        for index in range(self.num_blocks):
            resample = self.resample if index == 0 else "none"
            block = BLOCKS[self.block](
                self.features, self.width, resample, self.axis_name, name=f"block{index}"
            )
            x = block(x, train)
        return x


def _resampling_conv(x, features: int, resample: Resample, name: str):
    if resample == "up":
        return Deconv(features, name=name)(x)
    return Conv(features, 3, stride=2 if resample == "down" else 1, name=name)(x)


def _shortcut(x, features: int, resample: Resample, axis_name: str | None, *, train: bool):
    if resample == "up":
        y = Deconv(features, name="upsample_deconv")(x)
        return BatchNorm(axis_name, name="upsample_bn")(y, train)
    if resample == "down" or x.shape[-1] != features:
        y = Conv(features, 1, stride=2 if resample == "down" else 1, name="downsample_conv")(x)
        return BatchNorm(axis_name, name="downsample_bn")(y, train)
    return x
