"""One convolution of the networks, as plain data: PyTorch's interpreters import this file too."""

import json
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Layer:
    """A convolution or 2x2 deconvolution, and how often the networks have it.

    Attributes:
        kind: the module.
        shape: of the input, [B, H, W, C].
        features: channels out.
        kernel_size: side of the kernel.
        stride: 1 or 2.
        teacher: how many the teacher has.
        student: how many bottleneck and decoder have.
        without_input_gradient: of these, those whose input needs no gradient.
    """

    kind: Literal["conv", "deconv"]
    shape: tuple[int, int, int, int]
    features: int
    kernel_size: int
    stride: int
    teacher: int = 0
    student: int = 0
    without_input_gradient: int = 0

    @property
    def name(self) -> str:
        """Such as "3x3 stride 2, 256 to 512 at 64x64"; H x W are the input's."""
        _, height, width, channels = self.shape
        side = f"{self.kernel_size}x{self.kernel_size}"
        form = "deconv" if self.kind == "deconv" else f"stride {self.stride}"
        return f"{side} {form}, {channels} to {self.features} at {height}x{width}"

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        batch, height, width, _ = self.shape
        if self.kind == "deconv":
            return batch, 2 * height, 2 * width, self.features
        return batch, -(-height // self.stride), -(-width // self.stride), self.features

    @property
    def kernel_shape(self) -> tuple[int, int, int, int]:
        return self.kernel_size, self.kernel_size, self.shape[-1], self.features

    @property
    def gflop(self) -> float:
        """Of one pass; either gradient takes the same."""
        batch, height, width, _ = self.shape if self.kind == "deconv" else self.output_shape
        rows, columns, channels, features = self.kernel_shape
        return 2e-9 * batch * height * width * rows * columns * channels * features

    @property
    def counts(self) -> dict[str, int]:
        """How often each of `PASSES` occurs, in a train step and in scoring; 0 is not timed."""
        both = self.teacher + self.student
        return {
            "forward": both,
            "input gradient": self.student - self.without_input_gradient,
            "kernel gradient": self.student,
            "scoring": both,
        }


PASSES = ("forward", "input gradient", "kernel gradient", "scoring")
"""What can be timed of a layer; the first three make a train step."""


def read_layers(text: str) -> list[Layer]:
    """Reads what this file prints."""
    return [Layer(**{**entry, "shape": tuple(entry["shape"])}) for entry in json.loads(text)]
