"""Rows of single processes: this project's steps and scoring, and PyTorch's."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmark_rows.process import Process
from benchmark_rows.start_up import arithmetic
from benchmark_rows.summary import summarise

from gpu.outcome import LeftOut, Row, attempt
from gpu.plan import Plan

FAST, USUAL = "bfloat16", "tf32"
"""The fast precision, and that of both libraries if nobody chooses."""


@dataclass(frozen=True)
class Timed:
    """One row: a process of `benchmark_rows`, alone on the device.

    Attributes:
        script: of `benchmark_rows`.
        row: the script's row.
        batch: images of a call.
        precision: of the networks.
        flags: appended to `XLA_FLAGS`.
    """

    script: str
    row: str
    batch: int
    precision: str = FAST
    flags: str = ""

    @property
    def name(self) -> str:
        flags = f", {self.flags}" if self.flags else ""
        return f"{self.script} {self.row}, batch {self.batch}, {self.precision}{flags}"

    def measure(self, plan: Plan) -> Row:
        """Times all calls of the process; the first one's results are the row's."""
        python: str | None = plan.torch_python if self.script == "torch" else sys.executable
        if python is None:
            raise LeftOut("no PyTorch: give --torch_python an interpreter with torch")
        environment = plan.environment
        if self.flags:
            environment["XLA_FLAGS"] = f"{environment.get('XLA_FLAGS', '')} {self.flags}".strip()
        log = plan.scratch / "row.log"
        settings = plan.settings(self.row, self.batch, self.precision)
        process = Process(python, self.script, settings, environment, log)
        calls = {}
        for name, about in process.about.items():
            timed = [process.time_once(name) for _ in range(plan.rounds)]
            calls[name] = summarise(timed, about)
        process.close()
        first, *others = calls
        facts = {"ready_seconds": process.ready_seconds, "facts": process.facts}
        row = {**calls[first], **facts, "batch": self.batch, "precision": self.precision}
        if others:
            row["calls_by_name"] = calls
            row["ratios"] = {
                f"{one} / {other}": calls[one]["seconds_median"] / calls[other]["seconds_median"]
                for one, other in process.pairs
            }
        return row


def measure_rows(rows: list[Timed], plan: Plan) -> Iterator[Row]:
    for row in rows:
        yield attempt(row.name, lambda row=row: row.measure(plan))


def peaks(plan: Plan) -> Iterator[Row]:
    """GFLOP/s of large matrix products, and of an image in each kind of row."""
    for precision in (FAST, USUAL, "float32"):
        row = Timed("peak", "product", plan.peak_side, precision)
        yield attempt(row.name, lambda row=row: _with_peak(row.measure(plan)))
    settings = plan.settings("", 1, FAST)
    yield attempt("arithmetic", lambda: {"gflop_an_image": arithmetic(settings)})


def _with_peak(row: Row) -> dict[str, Any]:
    return {**row, "peak_gflop_per_second": row["gflop"] / row["seconds_min"]}


def steps(plan: Plan) -> Iterator[Row]:
    """A step with and without kept features."""
    names = ("train+cache", "train")
    precisions = (FAST,) if plan.rehearse else (FAST, USUAL)
    rows = [Timed("jax", name, plan.batch, each) for each in precisions for name in names]
    yield from measure_rows(rows, plan)


def modes(plan: Plan) -> Iterator[Row]:
    """The step under shard_map, and both wrappers on several devices.

    Under pmap on one device it is that of `steps`.
    """
    rows = [Timed("jax", "train+cache+shard_map", plan.batch)]
    several = [
        Timed("devices", "train", plan.batch),
        Timed("devices", "train+shard_map", plan.batch),
    ]
    yield from measure_rows(rows, plan)
    for row in several:
        yield attempt(row.name, lambda row=row: _of_several(row.measure(plan)))


def _of_several(row: Row) -> Row:
    number = row["facts"]["num_devices"]
    if number == 1:
        raise LeftOut("one device")
    return row


def steps_a_call(plan: Plan) -> Iterator[Row]:
    """K steps in one call of the device, beside K calls of which only the last is waited for."""
    counts = (2,) if plan.rehearse else (4, 16)
    rows = [
        Timed("jax", f"train+cache+{count}_{kind}", plan.batch)
        for count in counts
        for kind in ("alone", "a_call")
    ]
    yield from measure_rows(rows, plan)


def batches(plan: Plan) -> Iterator[Row]:
    """Larger batches than that of `steps`."""
    yield from measure_rows([Timed("jax", "train+cache", batch) for batch in plan.batches], plan)


def scoring(plan: Plan) -> Iterator[Row]:
    """Scoring, from images on the host to maps and scores on the host."""
    yield from measure_rows([Timed("jax", "score", batch) for batch in plan.scoring], plan)


def torch(plan: Plan) -> Iterator[Row]:
    """PyTorch: RD4AD as published, tuned, and compiled."""
    backend = plan.compile_backend
    rows = [
        Timed("torch", "train+published", plan.batch, USUAL),
        Timed("torch", "train+tuned", plan.batch),
        Timed("torch", f"train+{backend}", plan.batch),
        *(Timed("torch", "score", batch) for batch in plan.scoring),
        Timed("torch", f"score+{backend}", plan.scoring[-1]),
    ]
    if not plan.rehearse:
        rows.insert(2, Timed("torch", "train+tuned", plan.batch, USUAL))
    yield from measure_rows(rows, plan)


def l_var(plan: Plan) -> Iterator[Row]:
    """A step with the variance loss, with its weight 0, and without it."""
    yield from measure_rows([Timed("l_var", "train", plan.batch)], plan)


FLAGS = (
    "--xla_gpu_enable_command_buffer=",
    "--xla_gpu_enable_command_buffer=FUSION,CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL",
    "--xla_gpu_autotune_level=0",
)
"""Command buffers off and on, autotuning off; the default is a row of `steps`."""


def flags(plan: Plan) -> Iterator[Row]:
    """The step with XLA's flags, which a process reads once, at its start."""
    rows = [Timed("jax", "train+cache", plan.batch, flags=flags) for flags in FLAGS]
    yield from measure_rows(rows, plan)
