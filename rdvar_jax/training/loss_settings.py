"""What the losses are made of; without JAX, so that a config is read at once."""

from dataclasses import dataclass
from typing import Literal

# The paper's names for the decoder stages, from the largest map to the smallest.
STAGES = ("d1", "d2", "d3")
DISTANCES = ("cosine", "l1", "l2")
DISTILLATIONS = ("flat", "pixel")
REDUCTIONS = ("mean", "sum")


@dataclass(frozen=True)
class LossSettings:
    """What L = L_model + lambda_var * L_var is made of.

    Attributes:
        lambda_var: weight of the variance loss; 0 is plain reverse distillation.
        stages: decoder stages whose variance losses are added (the paper's Table V).
        distance: between a feature vector and the batch's mean (Table III).
        reduction: of the "l1" and "l2" distances over the feature dimensions.
        stop_gradient_mean: treat the mean vector as a constant.
        distillation: "flat" compares one vector an image and scale, as RD4AD's code does; "pixel"
          compares at each position and averages, as its paper writes.
    """

    lambda_var: float = 0.1
    stages: tuple[str, ...] = ("d1",)
    distance: Literal["cosine", "l1", "l2"] = "cosine"
    reduction: Literal["mean", "sum"] = "mean"
    stop_gradient_mean: bool = False
    distillation: Literal["flat", "pixel"] = "flat"
