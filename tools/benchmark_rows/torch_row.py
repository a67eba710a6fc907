"""The PyTorch reference's train step and scoring; needs torch.

Rows "train+tuned", "train+published", "train+BACKEND", "score" and "score+BACKEND"; a BACKEND is
one of `torch.compile`'s: "inductor", or "aot_eager", which compiles nothing.
"""

# The clock starts, and settings of the process are made, before the large imports.
# ruff: noqa: E402

# torch is not among this project's dependencies, so it is absent where pyright runs.
# pyright: reportMissingImports=false

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

STARTED = time.perf_counter()
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from serve import Call, Settings, read_settings, serve
from torch_reference.losses import LossSettings
from torch_reference.network import build_networks, normalise
from torch_reference.scoring import blur, blur_matrix, scores, summed_maps, summed_tensor
from torch_reference.training import AS_PUBLISHED, TUNED, build_optimiser, make_train_step


def main(settings: Settings) -> None:
    batch, size = settings.batch, settings.image_size
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # The same precision on both sides.
    torch.backends.cudnn.allow_tf32 = settings.precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = settings.precision == "tf32"
    torch.backends.cudnn.benchmark = True
    autocast = settings.precision == "bfloat16"
    networks = build_networks(settings.arch, settings.stem_width)
    for network in networks:
        network.to(device)
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (batch, size, size, 3), dtype=np.uint8)).to(
        device
    )
    kind, _, option = settings.row.partition("+")
    if kind == "score":
        for network in networks:
            network.to(memory_format=torch.channels_last).eval()

        def networks_alone(x):
            with torch.autocast(device, torch.bfloat16, enabled=autocast):
                targets = networks.teacher(x)
                return targets, networks.decoder(networks.bn(targets))

        matrix = torch.from_numpy(blur_matrix(size)).to(device)
        forward = torch.compile(networks_alone, backend=option) if option else networks_alone

        @torch.inference_mode()
        def run():
            x = normalise(images).contiguous(memory_format=torch.channels_last)
            targets, features = forward(x)
            targets, features = ([f.float() for f in maps] for maps in (targets, features))
            if device == "cpu":
                return scores(blur(summed_maps(targets, features, size)))
            # On a GPU the blur is there too: maps and scores go to the host, as in our row.
            maps = matrix @ summed_tensor(targets, features, size) @ matrix.T
            return maps.cpu(), maps.amax((1, 2)).cpu()

    else:
        flavours = {"tuned": TUNED, "published": AS_PUBLISHED}
        flavour = flavours.get(option) or replace(TUNED, compile=option)
        flavour = replace(flavour, autocast=autocast)
        step = make_train_step(networks, build_optimiser(networks), LossSettings(), flavour)

        def run():
            return [loss.item() for loss in step(images)]  # waits for the device

    name = f"torch {settings.row} {batch}"
    call = Call(run, batch, kind)
    facts = {"versions": {"torch": torch.__version__}}
    serve({name: call}, STARTED, settings, facts=lambda: facts)


if __name__ == "__main__":
    main(read_settings())
