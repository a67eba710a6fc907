"""anomalib's inferencer on the kit's photographs: rows "export", "one" and "list".

`data` is the kit's file. "export" writes a model with random weights beside it and ends; "one" and
"list" load that with `TorchInferencer`, which reads and scores one file after the other. anomalib's
bottleneck is narrower than RD4AD's: it is another, smaller network.
"""

# The clock starts, and settings of the process are made, before the large imports.
# ruff: noqa: E402

# torch and anomalib are not among this project's dependencies, so they are absent where pyright
# runs.
# pyright: reportMissingImports=false

import json
import logging
import os
import time
from pathlib import Path

STARTED = time.perf_counter()
os.environ["TRUST_REMOTE_CODE"] = "1"  # the model is ours

from importlib.metadata import version

import torch
from anomalib_import import ReverseDistillation
from serve import Call, Settings, read_settings, serve

NAME = "anomalib TorchInferencer"
LAYERS = ("layer1", "layer2", "layer3")


def main(settings: Settings) -> None:
    logging.disable(logging.WARNING)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    file = Path(settings.data)
    folder = file.parent / "anomalib"
    if settings.row == "export":
        export(settings, folder)
        return
    from anomalib.deploy import TorchInferencer

    kit = json.loads(file.read_text())
    photographs = kit["photographs"][:1] if settings.row == "one" else kit["photographs"]
    inferencer = TorchInferencer(folder / "weights" / "torch" / "model.pt")

    @torch.inference_mode()
    def run():
        for path in photographs:
            inferencer.predict(path).pred_score.cpu()

    facts = {"versions": {"anomalib": version("anomalib"), "torch_of_anomalib": torch.__version__}}
    serve({NAME: Call(run, len(photographs))}, STARTED, settings, facts=lambda: facts)


def export(settings: Settings, folder: Path) -> None:
    """Writes FOLDER/weights/torch/model.pt."""
    torch.manual_seed(0)
    size = (settings.image_size, settings.image_size)
    model = ReverseDistillation(
        backbone=settings.arch,
        layers=LAYERS,
        pre_trained=False,
        pre_processor=ReverseDistillation.configure_pre_processor(size),
    )
    model.eval()
    model.to_torch(folder)


if __name__ == "__main__":
    main(read_settings())
