"""anomalib's reverse distillation, its PyTorch model with random weights: rows "train" and "score".

The train step is that of its Lightning module, without Lightning around it; the images are float
and normalised already, which anomalib does in its pre-processor. Its bottleneck is narrower than
RD4AD's: it is another, smaller network.
"""

# The clock starts before the large imports.
# ruff: noqa: E402

# torch and anomalib are not among this project's dependencies, so they are absent where pyright
# runs.
# pyright: reportMissingImports=false

import os
import time

STARTED = time.perf_counter()

from importlib.metadata import version

import torch
from anomalib_import import (
    AnomalyMapGenerationMode,
    ReverseDistillationLoss,
    ReverseDistillationModel,
)
from serve import Call, Settings, read_settings, serve

LAYERS = ("layer1", "layer2", "layer3")


def main(settings: Settings) -> None:
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.allow_tf32 = False  # float32, as the other rows
    size = (settings.image_size, settings.image_size)
    model = ReverseDistillationModel(
        settings.arch, size, LAYERS, AnomalyMapGenerationMode.ADD, pre_trained=False
    ).to(device)
    images = torch.randn(settings.batch, 3, *size, device=device)
    run = scoring(model, images) if settings.row == "score" else training(model, images)
    name = f"anomalib {settings.row} {settings.batch}"
    versions = {"anomalib": version("anomalib"), "torch_of_anomalib": torch.__version__}
    serve(
        {name: Call(run, settings.batch)}, STARTED, settings, facts=lambda: {"versions": versions}
    )


def training(model, images):
    model.train()
    criterion = ReverseDistillationLoss()
    parameters = [*model.decoder.parameters(), *model.bottleneck.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=0.005, betas=(0.5, 0.99))

    def run():
        loss = criterion(*model(images))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.item()  # waits for the device

    return run


def scoring(model, images):
    model.eval()

    @torch.inference_mode()
    def run():
        result = model(images)
        return result.anomaly_map.cpu(), result.pred_score.cpu()

    return run


if __name__ == "__main__":
    main(read_settings())
