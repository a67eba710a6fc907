"""Trainable students: the common class, and RD4AD's bottleneck embedding and reversed decoder."""

from typing import Any, ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from rdvar_jax.models.blocks import Stage
from rdvar_jax.models.layers import BatchNorm, Conv
from rdvar_jax.weights.architectures import Architecture


class StudentNetwork(nn.Module):
    """A student of any method: maps like the teacher's, compared with those at each position.

    Attributes:
        architecture: the teacher's backbone.
        stem_width: channels of the teacher's stem.
        axis_name: mapped axis over which batch statistics are computed in training.
        sees_images: the input is the normalised images, [B, H, W, 3]; else the teacher's maps.
        merging: how the distances at the three scales make one anomaly map (`scoring/maps.py`).
    """

    architecture: Architecture
    stem_width: int
    axis_name: str | None = None

    sees_images: ClassVar[bool] = False
    merging: ClassVar[Literal["sum", "product"]] = "sum"

    def __call__(self, x, train: bool) -> Any:
        """Returns maps of the shapes of the teacher's, from the largest to the smallest.

        Anything after these three is for the loss only.
        """
        raise NotImplementedError


def student_input(student: StudentNetwork, images: Any, teacher_features: Any) -> Any:
    """Returns what a student sees, of normalised images and the teacher's maps of them."""
    return images if student.sees_images else teacher_features


class OneClassBottleneck(nn.Module):
    """Multi-scale fusion and one-class embedding (RD4AD's "MFF" and "OCE").

    Names are those of RD4AD's `bn` checkpoints: conv1/bn1 and conv2/bn2 downsample layer1,
    conv3/bn3 layer2; `bn_layer` holds the embedding's blocks.
    """

    architecture: Architecture
    stem_width: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, teacher_features, train: bool):
        """Fuses the teacher's three maps into one code.

        Args:
            teacher_features: [B, H, W, C], [B, H/2, W/2, 2C], [B, H/4, W/4, 4C].
            train: use batch statistics instead of the running ones.

        Returns:
            The embedding, [B, H/8, W/8, 8C].
        """
        arch = self.architecture
        f1, f2, f3 = teacher_features
        channels = self.stem_width * arch.expansion

        def down(x, features, index):
            x = Conv(features, 3, stride=2, name=f"conv{index}")(x)
            return jax.nn.relu(BatchNorm(self.axis_name, name=f"bn{index}")(x, train))

        f1 = down(down(f1, 2 * channels, 1), 4 * channels, 2)
        f2 = down(f2, 4 * channels, 3)
        fused = jnp.concatenate([f1, f2, f3], axis=-1)
        planes = 8 * self.stem_width
        return Stage(
            arch.block,
            arch.ocbe_blocks,
            features=planes * arch.expansion,
            width=planes * arch.width_factor,
            resample="down",
            axis_name=self.axis_name,
            name="bn_layer",
        )(fused, train)


class Decoder(nn.Module):
    """The reversed ResNet. Its layer1, layer2, layer3 run from deep to shallow, as in RD4AD."""

    architecture: Architecture
    stem_width: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, train: bool):
        """Decodes the embedding [B, H, W, 8C].

        Returns:
            The paper's D1, D2, D3, shaped like the teacher's layer1, layer2, layer3:
            [B, 8H, 8W, C], [B, 4H, 4W, 2C], [B, 2H, 2W, 4C], after the last ReLU of each stage.
        """
        arch = self.architecture
        features = []
        for index, num_blocks in enumerate(arch.stage_blocks):
            planes = self.stem_width * 2 ** (2 - index)
            x = Stage(
                arch.block,
                num_blocks,
                features=planes * arch.expansion,
                width=planes * arch.width_factor,
                resample="up",
                axis_name=self.axis_name,
                name=f"layer{index + 1}",
            )(x, train)
            features.append(x)
        return tuple(reversed(features))


class Student(StudentNetwork):
    """Bottleneck and decoder as one module, so that one tree holds all trained variables."""

    @nn.compact
    def __call__(self, x, train: bool):
        """Returns D1, D2, D3, shaped like the teacher's maps `x`."""
        shape = (self.architecture, self.stem_width, self.axis_name)
        embedding = OneClassBottleneck(*shape, name="ocbe")(x, train)
        return Decoder(*shape, name="decoder")(embedding, train)
