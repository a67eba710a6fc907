"""Train step, as published by RD4AD and as optimised for speed."""

# torch is not among this project's dependencies, so it is absent where pyright runs.
# pyright: reportMissingImports=false

from collections.abc import Callable
from dataclasses import dataclass

import torch

from torch_reference.losses import LossSettings, total_loss
from torch_reference.network import Networks, normalise


@dataclass(frozen=True)
class Flavour:
    """Variant of the same step.

    Attributes:
        teacher_gradient: compute gradients with respect to the teacher, which nobody uses.
        run_layer4: run the teacher's fourth stage, whose result nobody uses.
        channels_last: keep images and weights in the NHWC memory format.
        autocast: run the networks in bfloat16; losses, statistics and parameters stay in float32.
        compile: backend of `torch.compile`, such as "inductor", through which the forward pass and
            so its gradient go, or None.
    """

    teacher_gradient: bool = False
    run_layer4: bool = False
    channels_last: bool = True
    autocast: bool = False
    compile: str | None = None


AS_PUBLISHED = Flavour(teacher_gradient=True, run_layer4=True, channels_last=False)
TUNED = Flavour()


def build_optimiser(networks: Networks) -> torch.optim.Adam:
    """RD4AD's Adam, on all that is trained."""
    parameters = [*networks.decoder.parameters(), *networks.bn.parameters()]
    return torch.optim.Adam(parameters, lr=0.005, betas=(0.5, 0.999), eps=1e-8)


def make_train_step(
    networks: Networks,
    optimiser: torch.optim.Optimizer,
    settings: LossSettings,
    flavour: Flavour,
) -> Callable:
    """Prepares the networks and makes uint8 images [B, S, S, 3] -> (L, L_model, L_var).

    The step changes the networks in place. The returned scalars stay on the device, so that the
    host need not wait for them.
    """
    teacher, bn, decoder = networks
    parameter = next(decoder.parameters())
    memory_format = torch.channels_last if flavour.channels_last else torch.contiguous_format
    for network in networks:
        network.to(memory_format=memory_format)
    teacher.requires_grad_(flavour.teacher_gradient)
    bn.train()
    decoder.train()

    def losses(images):
        x = normalise(images, parameter.dtype).contiguous(memory_format=memory_format)
        with torch.autocast(parameter.device.type, torch.bfloat16, enabled=flavour.autocast):
            with torch.set_grad_enabled(flavour.teacher_gradient):
                targets = teacher(x, flavour.run_layer4)
            features = decoder(bn(targets))
        return total_loss(targets, features, settings)

    forward = torch.compile(losses, backend=flavour.compile) if flavour.compile else losses

    def train_step(images):
        loss, loss_model, loss_var = forward(images)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.detach(), loss_model.detach(), loss_var.detach()

    return train_step
