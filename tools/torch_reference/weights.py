"""Random weights that are good for comparing, and state dicts as numpy arrays."""

# torch is not among this project's dependencies, so it is absent where pyright runs.
# pyright: reportMissingImports=false

import numpy as np
import torch
from torch import nn

from torch_reference.network import BasicBlock, Bottleneck, Networks

# Scale of the convolutions; 1 keeps the size of what goes in.
TEACHER_GAIN = 1 / 8
STUDENT_GAIN = 16


def randomise(networks: Networks, seed: int) -> None:
    """Fills everything, batch normalisation's parameters and statistics too, at random.

    With 1, 0, 0, 1 in the batch normalisations many mistakes go unseen. The rest is for a fair
    comparison in float32:

    - Biases are mostly positive, so that few values are so close to a ReLU's kink that rounding
      takes them across, which changes gradients by jumps.
    - Convolutions of what is trained are large, so that Adam's first steps, which have a size of
      their own, move them by little. Otherwise float32 and float64 part ways within three steps,
      in torch alone, too.
    - Those of the teacher are small, so that batch normalisation's epsilon is seen.
    - All values are exact in float16, in which golden files hold them.

    Each tensor has a stream of its own, drawn from the seed and its name.
    """
    for prefix, network in networks._asdict().items():
        gain = TEACHER_GAIN if prefix == "teacher" else STUDENT_GAIN
        branch_ends = {
            block.bn3 if isinstance(block, Bottleneck) else block.bn2
            for block in network.modules()
            if isinstance(block, BasicBlock | Bottleneck)
        }
        for name, module in network.named_modules():
            rng = np.random.default_rng([seed, *f"{prefix}.{name}".encode()])
            if isinstance(module, nn.BatchNorm2d):
                _randomise_norm(module, gain, module in branch_ends, rng)
            elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                deviation = gain * _fan_in(module) ** -0.5
                _fill(module.weight, rng.normal(0, deviation, module.weight.shape))
            elif isinstance(module, nn.Linear):
                _fill(module.weight, rng.normal(0, 0.1, module.weight.shape))
                _fill(module.bias, rng.normal(0, 0.1, module.bias.shape))


def state_arrays(module: nn.Module) -> dict[str, np.ndarray]:
    """The state dict as numpy arrays in torch's layouts."""
    return {name: tensor.numpy(force=True) for name, tensor in module.state_dict().items()}


def save_checkpoint(networks: Networks, path) -> None:
    """Writes what RD4AD's training writes: `{"bn": ..., "decoder": ...}`."""
    states = {"bn": networks.bn.state_dict(), "decoder": networks.decoder.state_dict()}
    torch.save(states, path)


def _randomise_norm(norm, gain: float, ends_branch: bool, rng: np.random.Generator) -> None:
    shape = norm.weight.shape
    # The shortcut keeps most values positive: a branch adds less to it, and around zero.
    scale, bias = (0.5, 0) if ends_branch else (1, 1)
    _fill(norm.weight, scale * rng.uniform(0.5, 1.5, shape))
    _fill(norm.bias, rng.normal(bias, 0.3, shape))
    _fill(norm.running_mean, gain * rng.normal(0, 0.3, shape))
    _fill(norm.running_var, gain**2 * rng.uniform(0.5, 2, shape))
    norm.num_batches_tracked.fill_(int(rng.integers(1, 10_000)))


def _fan_in(conv) -> int:
    if isinstance(conv, nn.ConvTranspose2d):  # without overlap, each output sees one input pixel
        return conv.weight.shape[0]
    return conv.weight[0].numel()


def _fill(tensor, values: np.ndarray) -> None:
    with torch.no_grad():
        tensor.copy_(torch.from_numpy(values.astype(np.float16)))
