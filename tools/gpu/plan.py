"""What a call of tools/benchmark_gpu.py measures, and at which sizes."""

import os
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from benchmark_rows.serve import Settings

CHEAP_FLAGS = (
    "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
    + " --xla_cpu_use_fusion_emitters=false" * version("jaxlib").startswith("0.10.")
)
"""Compiles in a fraction of the time, for a rehearsal; as in tests/conftest.py."""


@dataclass(frozen=True)
class Plan:
    """One call's settings.

    Attributes:
        rehearse: every branch on the CPU, at tiny sizes: its numbers mean nothing.
        torch_python: an interpreter with torch, or None.
        data: a folder with the category `category` in MVTec AD's layout, or None.
        weights: the teacher's for training, as `teacher.weights`.
        sets: folders of categories for the evidence.
        seeds: of the evidence.
        category: trained end to end.
        epochs: of that.
        evidence_epochs: of each run of the evidence.
        deadline: `time.perf_counter()` after which no row is started.
        scratch: folder for runs and logs.
        arch: backbone.
        stem_width: 64 is torchvision's.
        image_size: S.
        batch: of a train step.
        batches: larger ones.
        scoring: images scored at once.
        odd_batches: of the check of scoring, and of a step those over 2.
        goldens: files of tests/parity/golden.
        rounds: timed calls of a row.
        min_seconds: of a timed call.
        copies: of a layer in one call.
        peak_side: of the matrices whose product is the peak; 0 is what fills a GPU.
        compile_backend: of `torch.compile`.
    """

    rehearse: bool
    torch_python: str | None
    data: Path | None
    weights: str
    sets: tuple[Path, ...]
    seeds: tuple[int, ...]
    deadline: float
    scratch: Path
    category: str = "screw"
    epochs: int = 200
    evidence_epochs: int = 200
    arch: str = "wide_resnet50_2"
    stem_width: int = 64
    image_size: int = 256
    batch: int = 16
    batches: tuple[int, ...] = (32, 64, 128)
    scoring: tuple[int, ...] = (1, 8, 32, 128)
    odd_batches: tuple[int, ...] = (1, 3, 7)
    goldens: tuple[str, ...] = ("wide_bottleneck",)  # each takes a GPU minutes of compiling
    rounds: int = 5
    min_seconds: float = 0.5
    copies: int = 10
    peak_side: int = 0
    compile_backend: str = "inductor"

    def rehearsal(self) -> "Plan":
        """The same branches at sizes that a CPU gets through in seconds."""
        return replace(
            self,
            rehearse=True,
            seeds=self.seeds[:1],
            category="cloth",  # is drawn
            epochs=2,
            evidence_epochs=1,
            arch="resnet18",
            stem_width=4,
            image_size=32,
            batch=2,
            batches=(4,),
            scoring=(1, 3),
            odd_batches=(1, 3),
            goldens=("basic",),
            rounds=1,
            min_seconds=0.0,
            copies=2,
            peak_side=64,
            compile_backend="aot_eager",
        )

    @property
    def environment(self) -> dict[str, str]:
        """Of all processes. On a GPU none takes most of the memory, since two may share it."""
        if not self.rehearse:
            own = {"JAX_PLATFORMS": "cuda,cpu", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        else:
            own = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": os.environ.get("XLA_FLAGS", CHEAP_FLAGS)}
        return {**os.environ, **own}

    @property
    def seconds_left(self) -> float:
        return self.deadline - time.perf_counter()

    def settings(self, row: str, batch: int, precision: str) -> Settings:
        """Those of a row's process."""
        return Settings(
            row=row,
            arch=self.arch,
            batch=batch,
            image_size=self.image_size,
            stem_width=self.stem_width,
            data=None,
            min_seconds=self.min_seconds,
            precision=precision,
        )
