"""The names and shapes of torchvision's residual networks, stem to layer3, for tests."""

from collections.abc import Iterator

import numpy as np

NETWORKS = {  # blocks, bottleneck, width of layer1
    "resnet18": ((2, 2, 2), False, 64),
    "resnet34": ((3, 4, 6), False, 64),
    "resnet50": ((3, 4, 6), True, 64),
    "resnet101": ((3, 4, 23), True, 64),
    "wide_resnet50_2": ((3, 4, 6), True, 128),
    "wide_resnet101_2": ((3, 4, 23), True, 128),
}


def _norm(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for leaf in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{leaf}", (channels,)
    yield f"{name}.num_batches_tracked", ()


def torch_shapes(arch: str) -> dict[str, tuple[int, ...]]:
    """Returns torch's names to shapes, counters included."""
    blocks, is_bottleneck, width = NETWORKS[arch]
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 7, 7)}
    shapes.update(_norm("bn1", 64))
    before = 64
    for stage, count in enumerate(blocks):
        middle = width * 2**stage
        after = 256 * 2**stage if is_bottleneck else middle
        for number in range(count):
            block = f"layer{stage + 1}.{number}"
            sizes = [(before, middle, 3), (middle, after, 3)]
            if is_bottleneck:
                sizes = [(before, middle, 1), (middle, middle, 3), (middle, after, 1)]
            for index, (inputs, outputs, kernel) in enumerate(sizes, start=1):
                shapes[f"{block}.conv{index}.weight"] = (outputs, inputs, kernel, kernel)
                shapes.update(_norm(f"{block}.bn{index}", outputs))
            if number == 0 and (is_bottleneck or stage > 0):
                shapes[f"{block}.downsample.0.weight"] = (after, before, 1, 1)
                shapes.update(_norm(f"{block}.downsample.1", after))
            before = after
    return shapes


def empty_tensors(arch: str) -> dict[str, np.ndarray]:
    """Returns torch's names to arrays of the right shapes that take no memory."""
    value = np.float32(0.5)
    return {name: np.broadcast_to(value, shape) for name, shape in torch_shapes(arch).items()}


def random_tensors(arch: str, seed: int) -> dict[str, np.ndarray]:
    """Makes weights of the right shapes: odd values, positive variances."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, shape in torch_shapes(arch).items():
        values = rng.normal(size=shape).astype(np.float32)
        if name.endswith("num_batches_tracked"):
            values = np.array(17)
        tensors[name] = np.abs(values) if name.endswith("running_var") else values
    return tensors
