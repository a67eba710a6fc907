"""Groups of rows that are compared with each other."""

from typing import NamedTuple


class Row(NamedTuple):
    """One process: `SCRIPT_row.py` with a row's name and the images of a call."""

    script: str
    row: str
    batch: int


# A group's processes are all resident while a call of one of them is timed. Of several processes
# each has a ratio over the last; a process with several calls names its own pairs.
GROUPS = {
    "step": (Row("jax", "train", 8), Row("torch", "train+tuned", 8)),
    "cached_step": (Row("jax", "train+cache", 8), Row("torch", "train+tuned", 8)),
    "published_step": (Row("jax", "train", 8), Row("torch", "train+published", 8)),
    "score_1": (Row("jax", "score", 1), Row("torch", "score", 1)),
    "score_8": (Row("jax", "score", 8), Row("torch", "score", 8)),
    "score_32": (Row("jax", "score", 32), Row("torch", "score", 32)),
    "serving_1": (
        Row("serving", "bundle", 1),
        Row("serving", "onnx", 1),
        Row("torch", "score", 1),
    ),
    "serving_8": (
        Row("serving", "bundle", 8),
        Row("serving", "onnx", 8),
        Row("torch", "score", 8),
    ),
    "modes": (Row("jax", "train+shard_map", 8), Row("jax", "train", 8)),
    "steps_a_call": (
        Row("jax", "train+cache+4_a_call", 8),
        Row("jax", "train+cache+4_alone", 8),
    ),
    "reductions_step": (Row("jax", "train", 8), Row("jax", "train+ynn_reductions", 8)),
    "reductions_score_1": (Row("jax", "score", 1), Row("jax", "score+ynn_reductions", 1)),
    "reductions_score_8": (Row("jax", "score", 8), Row("jax", "score+ynn_reductions", 8)),
    "l_var": (Row("l_var", "train", 16),),
    "devices": (Row("devices", "train", 8),),
    "metrics": (Row("metrics", "metrics", 83),),
    "decode": (Row("decode", "decode", 32),),
    "anomalib_step": (Row("jax", "train", 8), Row("anomalib", "train", 8)),
    "anomalib_score_1": (Row("jax", "score", 1), Row("anomalib", "score", 1)),
    "anomalib_score_8": (Row("jax", "score", 8), Row("anomalib", "score", 8)),
}
# Processes that start anew for each time, so no rows as above: start_up.py.
START_UP = "start_up"

QUICK = ("step", "cached_step", "published_step", "score_1", "score_8")
PEERS = {"anomalib": ("anomalib_step", "anomalib_score_1", "anomalib_score_8")}
"""The groups that `--peers` adds."""

ON_REQUEST = ("reductions_step", "reductions_score_1", "reductions_score_8")
"""Groups that run with `--only` alone."""

USES_NETWORKS = ("jax", "serving", "l_var", "devices")
"""Scripts beside whose times a measured matrix peak is of use."""
