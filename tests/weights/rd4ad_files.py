"""RD4AD checkpoints for tests: PyTorch's tensors of the golden files, written without torch."""

from pathlib import Path

import numpy as np
from golden_files import Golden
from torch_writer import WRITERS, tensor

STEPS = 4000


def rd4ad_states(golden: Golden, steps: int = STEPS) -> dict[str, dict[str, np.ndarray]]:
    """Makes both state dicts as RD4AD's training does, with counters and the unused tensors."""
    rng = np.random.default_rng(0)
    states = {}
    for part in ("bn", "decoder"):
        start = f"{part}."
        states[part] = tensors = {
            name.removeprefix(start): array
            for name, array in golden.weights.items()
            if name.startswith(start)
        }
        for name in [name for name in tensors if name.endswith(".running_var")]:
            counter = name.replace("running_var", "num_batches_tracked")
            tensors[counter] = np.array(steps, np.int64)
    channels = len(states["bn"]["bn3.weight"])
    unused = rng.normal(size=(2 * channels, 4 * channels, 1, 1)).astype(np.float32)
    states["bn"] |= {
        "conv4.weight": unused,
        "bn4.weight": np.ones(2 * channels, np.float32),
        "bn4.bias": np.zeros(2 * channels, np.float32),
        "bn4.running_mean": np.zeros(2 * channels, np.float32),
        "bn4.running_var": np.ones(2 * channels, np.float32),
        "bn4.num_batches_tracked": np.array(0, np.int64),
    }
    return states


def write_states(path: Path, states: dict, form: str = "zip") -> Path:
    """Writes nested dicts of arrays in one of torch's formats."""
    wrapped = {
        part: {name: tensor(np.array(array)) for name, array in tensors.items()}
        for part, tensors in states.items()
    }
    return WRITERS[form](path, wrapped)
