"""Imports of anomalib's reverse distillation; needs anomalib. Alone: how long starting it takes."""

# torch and anomalib are not among this project's dependencies, so they are absent where pyright
# runs.
# pyright: reportMissingImports=false

import torch

# torchvision beside a torch for CPUs lacks two operators, which it only names while it is imported.
# Reverse distillation uses neither.
_library = torch.library.Library("torchvision", "FRAGMENT")
for _name in ("nms", "qnms"):
    if not hasattr(torch.ops.torchvision, _name):
        _library.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from anomalib.models import ReverseDistillation  # noqa: E402, F401
from anomalib.models.image.reverse_distillation.anomaly_map import (  # noqa: E402
    AnomalyMapGenerationMode,
)
from anomalib.models.image.reverse_distillation.loss import ReverseDistillationLoss  # noqa: E402
from anomalib.models.image.reverse_distillation.torch_model import (  # noqa: E402
    ReverseDistillationModel,
)

__all__ = ["AnomalyMapGenerationMode", "ReverseDistillationLoss", "ReverseDistillationModel"]
