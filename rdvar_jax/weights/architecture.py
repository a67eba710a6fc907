"""Tells which residual network a set of torch names and shapes belongs to."""

from collections.abc import Mapping
from typing import Any

# (blocks in layer1 to layer3, bottleneck blocks, width of layer1's 3x3 convolution), as in
# torchvision/models/resnet.py. layer4 is not looked at: a teacher does not need it.
_ARCHITECTURES = {
    ((2, 2, 2), False, 64): "resnet18",
    ((3, 4, 6), False, 64): "resnet34",
    ((3, 4, 6), True, 64): "resnet50",
    ((3, 4, 23), True, 64): "resnet101",
    ((3, 8, 36), True, 64): "resnet152",
    ((3, 4, 6), True, 128): "wide_resnet50_2",
    ((3, 4, 23), True, 128): "wide_resnet101_2",
}


def guess_architecture(tensors: Mapping[str, Any]) -> str | None:
    """torchvision's name for the network that these tensors belong to, or None.

    Args:
        tensors: torch's names to arrays in torch's layouts (only their `.shape` is looked at).
    """
    return architecture_of_shapes({name: tensor.shape for name, tensor in tensors.items()})


def architecture_of_shapes(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """`guess_architecture` where only the shapes are known: `[O, I, kh, kw]` and so on."""
    if shapes.get("conv1.weight") != (64, 3, 7, 7):
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
    is_bottleneck = "layer1.0.conv3.weight" in shapes
    return _ARCHITECTURES.get((tuple(blocks), is_bottleneck, shape[0]))
