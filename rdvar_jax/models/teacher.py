"""The frozen teacher: a torchvision ResNet up to layer3."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rdvar_jax.models.blocks import Stage
from rdvar_jax.models.layers import BatchNorm, Conv, max_pool
from rdvar_jax.weights.architectures import Architecture

# ImageNet's, per RGB channel, for values from 0 to 1.
MEAN = np.array([0.485, 0.456, 0.406])
DEVIATION = np.array([0.229, 0.224, 0.225])


class Teacher(nn.Module):
    """Feature maps of a torchvision ResNet.

    Attributes:
        architecture: the backbone.
        stem_width: channels of the stem, 64 in every torchvision net.
        axis_name: mapped axis over which batch statistics are taken in training.
    """

    architecture: Architecture
    stem_width: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, train: bool = False):
        """Returns the three maps that reverse distillation compares.

        Args:
            x: normalised images, [B, H, W, 3] float32 or bfloat16, H and W multiples of 32.
            train: normalise by batch statistics and update the running ones; never used by
                teachers, which are frozen, but by a student of this shape.

        Returns:
            Outputs of layer1, layer2, layer3 after the last ReLU of each: [B, H/4, W/4, eC],
            [B, H/8, W/8, 2eC], [B, H/16, W/16, 4eC] with C the stem's width and e the block's
            expansion (1 or 4). layer4 is not needed and not built.
        """
        arch = self.architecture
        x = Conv(self.stem_width, 7, stride=2, name="conv1")(x)
        x = max_pool(jax.nn.relu(BatchNorm(self.axis_name, name="bn1")(x, train)))
        features = []
        for index, num_blocks in enumerate(arch.stage_blocks):
            planes = self.stem_width * 2**index
            x = Stage(
                arch.block,
                num_blocks,
                features=planes * arch.expansion,
                width=planes * arch.width_factor,
                resample="none" if index == 0 else "down",
                axis_name=self.axis_name,
                name=f"layer{index + 1}",
            )(x, train)
            features.append(x)
        return tuple(features)


def normalise(images, dtype=jnp.float32):
    """Normalises uint8 images [B, H, W, 3] in float32 as torchvision does for ImageNet.

    `dtype` is that of the result, and so the one in which the networks compute.
    """
    mean = jnp.array(MEAN, jnp.float32).reshape(1, 1, 1, 3)
    deviation = jnp.array(DEVIATION, jnp.float32).reshape(1, 1, 1, 3)
    return ((images.astype(jnp.float32) / 255 - mean) / deviation).astype(dtype)
