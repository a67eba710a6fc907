"""Scoring in PyTorch, with the networks of `torch_reference` and random weights."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from torch_reference.network import build_networks, normalise
from torch_reference.scoring import blur, scores, summed_maps


def torch_score(arch: str, size: int, precision: str) -> Callable[[np.ndarray], Any]:
    """Returns what scores uint8 [B, size, size, 3] on all usable CPUs, channels last.

    Args:
        arch: backbone.
        size: of the images.
        precision: "float32", or "bfloat16" by autocast.
    """
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    networks = build_networks(arch)
    for network in networks:
        network.to(memory_format=torch.channels_last).eval()

    @torch.inference_mode()
    def score(images: np.ndarray) -> Any:
        x = normalise(torch.from_numpy(images)).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            targets = networks.teacher(x)
            features = networks.decoder(networks.bn(targets))
        targets, features = ([f.float() for f in maps] for maps in (targets, features))
        return scores(blur(summed_maps(targets, features, size)))

    return score
