"""Writes the golden files of tests/parity, which the default tests read without torch.

    python tools/torch_reference/make_golden.py --output tests/parity/golden

Needs torch and numpy only. Two files a block type: one of a published backbone, and one of a
shallow network of the same blocks, which compiles in a third of the time; and `stfpm`, a shallow
pair of `stfpm.py`. Each has four arrays:

- `settings`: JSON text with the network's name, the losses, the batches, and the names and shapes
  of the arrays that are laid end to end in `weights` and `values`;
- `images`: uint8 [N, S, S, 3];
- `weights`: the start, float16, under `teacher.`, `bn.` and `decoder.`, or `student.`, and torch's
  names;
- `values`: the quantities of `quantities.py` or `stfpm.py`, computed in float64, kept in float32.
  Of a gradient or an update with more than `NUM_SAMPLES` elements, that many evenly spaced ones.
"""

# torch is not among this project's dependencies, so it is absent where pyright runs.
# pyright: reportMissingImports=false

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from torch_reference import stfpm  # noqa: E402
from torch_reference.losses import STAGES, LossSettings  # noqa: E402
from torch_reference.network import BACKBONES, Backbone, build_networks  # noqa: E402
from torch_reference.quantities import (  # noqa: E402
    forward_quantities,
    loss_quantities,
    sample,
    step_quantities,
)
from torch_reference.weights import randomise, state_arrays  # noqa: E402

# Basic blocks, bottlenecks and wide bottlenecks. The first stage has a block that does not
# resample, and mirrored counts would be others. tests/parity/golden_files.py knows these, too.
SHALLOW = {
    "basic": Backbone(False, (2, 1, 1, 1), ocbe_blocks=1),
    "bottleneck": Backbone(True, (2, 1, 1, 1), ocbe_blocks=1),
    "wide_bottleneck": Backbone(True, (2, 1, 1, 1), ocbe_blocks=1, width_factor=2),
}

# (stem width, seed). Narrow keeps the files small. With these seeds float32 keeps near
# float64 over three steps, in torch and here.
NETWORKS = {
    "basic": (2, 0),
    "bottleneck": (2, 0),
    "wide_bottleneck": (2, 0),
    "resnet18": (4, 2),
    "resnet50": (2, 0),
    "wide_resnet50_2": (2, 2),
}
# STFPM is of the shallow network "basic". No feature vector is 0 here: of such a one the cosine and
# the distance of unit vectors make different constants.
STFPM, STFPM_NETWORK = "stfpm", (4, 0)
IMAGE_SIZE = 64
NUM_IMAGES = 6
BATCHES = ((0, 1, 2, 3), (4, 2, 5, 1), (3, 5, 0, 4))

STEPS = {"lambda_0": LossSettings(lambda_var=0.0), "lambda_0.1": LossSettings(lambda_var=0.1)}
LOSSES = {
    **STEPS,
    "all_stages": LossSettings(lambda_var=1.0, stages=STAGES),
    "stop_gradient_mean": LossSettings(lambda_var=1.0, stop_gradient_mean=True),
    "l1_mean": LossSettings(lambda_var=1.0, distance="l1"),
    "l1_sum": LossSettings(lambda_var=0.001, distance="l1", reduction="sum"),
    "l2_mean": LossSettings(lambda_var=1.0, distance="l2", stages=("d2",)),
    "l2_sum": LossSettings(lambda_var=0.001, distance="l2", reduction="sum", stages=("d3",)),
    "pixel": LossSettings(lambda_var=0.1, distillation="pixel"),
}

# Of larger tensors, this many evenly spaced elements are kept of what there is most of.
NUM_SAMPLES = 256
SAMPLED = ("gradient/", "feature_gradient/", "steps/")
UNUSED = ("layer4.", "fc.", "conv4.", "bn4.")


def make_images() -> np.ndarray:
    """Stripes over coloured squares with noise, uint8 [N, S, S, 3]."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:IMAGE_SIZE, :IMAGE_SIZE]
    images = np.empty((NUM_IMAGES, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    for image in images:
        squares = np.kron(
            rng.uniform(40, 200, (4, 4, 3)), np.ones((IMAGE_SIZE // 4, IMAGE_SIZE // 4, 1))
        )
        u, v = rng.uniform(-1, 1, 2)
        stripes = 40 * np.sin(u * rows + v * columns)[:, :, None]
        noise = rng.normal(0, 10, image.shape)
        image[:] = np.clip(squares + stripes + noise, 0, 255)
    return images


def golden(arch: str, stem_width: int, seed: int) -> dict[str, np.ndarray]:
    """The arrays of one golden file."""
    networks = build_networks({**BACKBONES, **SHALLOW}[arch], stem_width)
    weights = _randomised(networks, seed)
    images = make_images()
    batches = [images[list(batch)] for batch in BATCHES]
    quantities = {
        **forward_quantities(networks, batches[0]),
        **loss_quantities(networks, batches[0], LOSSES),
        **step_quantities(networks, batches, STEPS),
    }
    return _packed(arch, stem_width, images, weights, quantities, LOSSES)


def golden_stfpm(stem_width: int, seed: int) -> dict[str, np.ndarray]:
    """The arrays of the golden file of STFPM."""
    networks = stfpm.build_pyramids(SHALLOW["basic"], stem_width)
    weights = _randomised(networks, seed)
    images = make_images()
    batches = [images[list(batch)] for batch in BATCHES]
    quantities = stfpm.quantities(networks, batches, STEPS)
    pixel = {label: replace(loss, distillation="pixel") for label, loss in STEPS.items()}
    return _packed("basic", stem_width, images, weights, quantities, pixel)


def _packed(
    arch: str,
    stem_width: int,
    images: np.ndarray,
    weights: Mapping[str, np.ndarray],
    quantities: dict[str, np.ndarray],
    losses: Mapping[str, LossSettings],
) -> dict[str, np.ndarray]:
    for name in quantities:
        if name.startswith(SAMPLED):
            quantities[name] = sample(quantities[name], NUM_SAMPLES)
    settings = {
        "arch": arch,
        "stem_width": stem_width,
        "batches": BATCHES,
        "losses": {label: asdict(loss) for label, loss in losses.items()},
        "steps": list(STEPS),
        "weights": {name: array.shape for name, array in weights.items()},
        "values": {name: array.shape for name, array in quantities.items()},
    }
    return {
        "settings": np.array(json.dumps(settings)),
        "images": images,
        "weights": np.concatenate([array.ravel() for array in weights.values()]),
        "values": np.concatenate(
            [array.ravel() for array in quantities.values()], dtype=np.float32
        ),
    }


def _randomised(networks, seed: int) -> dict[str, np.ndarray]:
    """Fills the networks, returns the weights that are used, and goes on in float64."""
    randomise(networks, seed)
    arrays = {}
    for prefix, network in networks._asdict().items():
        for name, array in state_arrays(network).items():
            if not name.startswith(UNUSED) and not name.endswith("num_batches_tracked"):
                half = array.astype(np.float16)
                assert (half == array).all(), f"{name} is not exact in float16"
                arrays[f"{prefix}.{name}"] = half
    for network in networks:
        network.double()
    return arrays


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="folder of the golden files")
    names = [*NETWORKS, STFPM]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="these files")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # sums in one order
    for arch in args.only:
        path = args.output / f"{arch}.npz"
        if arch == STFPM:
            arrays = golden_stfpm(*STFPM_NETWORK)
        else:
            arrays = golden(arch, *NETWORKS[arch])
        np.savez_compressed(path, **arrays)
        print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
