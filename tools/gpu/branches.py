"""All branches, in the order in which they are measured: what matters most comes first."""

from collections.abc import Callable, Iterator

from gpu import timed, training
from gpu.correctness import correctness
from gpu.layers import layers
from gpu.outcome import Row
from gpu.plan import Plan

Branch = Callable[[Plan], Iterator[Row]]

BRANCHES: dict[str, Branch] = {
    "correctness": correctness,
    "peaks": timed.peaks,
    "steps": timed.steps,
    "modes": timed.modes,
    "steps_a_call": timed.steps_a_call,
    "batches": timed.batches,
    "scoring": timed.scoring,
    "torch": timed.torch,
    "l_var": timed.l_var,
    "layers": layers,
    "flags": timed.flags,
    "end_to_end": training.end_to_end,
    "evidence": training.evidence,
}
