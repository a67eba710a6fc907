"""Reads the golden files, which hold PyTorch's numbers (`tools/torch_reference/make_golden.py`)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from rdvar_jax.training.losses import RDVarLoss
from rdvar_jax.weights.architectures import ARCHITECTURES, Architecture

FOLDER = Path(__file__).parent / "golden"

# Those of `make_golden.py`.
SHALLOW = {
    "basic": Architecture("basic", (2, 1, 1), ocbe_blocks=1),
    "bottleneck": Architecture("bottleneck", (2, 1, 1), ocbe_blocks=1),
    "wide_bottleneck": Architecture("bottleneck", (2, 1, 1), ocbe_blocks=1, width_factor=2),
}


@dataclass(frozen=True)
class Golden:
    """One golden file.

    Attributes:
        arch: the backbone's name.
        stem_width: channels of the teacher's stem.
        batches: uint8 images [B, S, S, 3] of each train step; the first one is the batch of all
          other quantities.
        losses: settings under the labels that the quantities' names hold.
        steps: labels of the losses with which train steps were done.
        weights: arrays under `teacher.`, `bn.` and `decoder.` and torch's names.
        values: the quantities, float32; of large gradients and updates only some elements.
    """

    arch: str
    stem_width: int
    batches: list[np.ndarray]
    losses: dict[str, RDVarLoss]
    steps: list[str]
    weights: dict[str, np.ndarray]
    values: dict[str, np.ndarray]

    @property
    def architecture(self) -> Architecture:
        """The library's own of that name, or the shallow one."""
        return SHALLOW.get(self.arch) or ARCHITECTURES[self.arch]


@cache
def read_golden(arch: str) -> Golden:
    """Reads the file of one backbone, once."""
    with np.load(FOLDER / f"{arch}.npz") as file:
        settings = json.loads(file["settings"].item())
        images = file["images"]
        weights = _unpack(file["weights"].astype(np.float32), settings["weights"])
        values = _unpack(file["values"], settings["values"])
    losses = {
        label: RDVarLoss(**{**loss, "stages": tuple(loss["stages"])})
        for label, loss in settings["losses"].items()
    }
    return Golden(
        arch=settings["arch"],
        stem_width=settings["stem_width"],
        batches=[images[batch] for batch in settings["batches"]],
        losses=losses,
        steps=settings["steps"],
        weights=weights,
        values=values,
    )


def like_sampled(array: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The elements of `array` that a golden file keeps in `reference`."""
    flat = np.asarray(array).ravel()
    if flat.size == reference.size:
        return np.asarray(array)
    return flat[np.linspace(0, flat.size - 1, reference.size).round().astype(int)]


def _unpack(flat: np.ndarray, shapes: Mapping[str, list[int]]) -> dict[str, np.ndarray]:
    arrays, start = {}, 0
    for name, shape in shapes.items():
        stop = start + int(np.prod(shape))
        arrays[name] = flat[start:stop].reshape(shape)
        start = stop
    assert start == flat.size, "names and values do not fit together"
    return arrays
