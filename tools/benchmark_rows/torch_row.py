"""The PyTorch reference's train step and scoring; needs torch."""

# The clock starts, and settings of the process are made, before the large imports.
# ruff: noqa: E402

# torch is not among this project's dependencies, so it is absent where pyright runs.
# pyright: reportMissingImports=false

import os
import sys
import time
from pathlib import Path

STARTED = time.perf_counter()
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from serve import Call, Settings, read_settings, serve
from torch_reference.losses import LossSettings
from torch_reference.network import build_networks, normalise
from torch_reference.scoring import blur, scores, summed_maps
from torch_reference.training import AS_PUBLISHED, TUNED, build_optimiser, make_train_step


def main(settings: Settings) -> None:
    batch, size = settings.batch, settings.image_size
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.allow_tf32 = False  # float32 on both sides
    networks = build_networks(settings.arch, settings.stem_width)
    for network in networks:
        network.to(device)
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (batch, size, size, 3), dtype=np.uint8)).to(
        device
    )
    if settings.row == "score":
        for network in networks:
            network.to(memory_format=torch.channels_last).eval()

        @torch.inference_mode()
        def run():
            x = normalise(images).contiguous(memory_format=torch.channels_last)
            targets = networks.teacher(x)
            features = networks.decoder(networks.bn(targets))
            return scores(blur(summed_maps(targets, features, size)))

    else:
        flavour = {"train+tuned": TUNED, "train+published": AS_PUBLISHED}[settings.row]
        step = make_train_step(networks, build_optimiser(networks), LossSettings(), flavour)

        def run():
            return [loss.item() for loss in step(images)]  # waits for the device

    name = f"torch {settings.row} {batch}"
    call = Call(run, batch, settings.row.split("+")[0])
    facts = {"versions": {"torch": torch.__version__}}
    serve({name: call}, STARTED, settings, facts=lambda: facts)


if __name__ == "__main__":
    main(read_settings())
