"""Verified checkpoints: written by orbax, guarded by a manifest of hashes.

Orbax silently restores a bit-flipped file and does not fall back from a truncated one. So each
step's folder holds `manifest.json` with the sha256 of every file in it and with the run's
provenance; a step without a manifest was not completely written. Only this module uses orbax.

With several processes each holds the whole state. So the main one saves alone and each restores
by itself from host arrays; orbax's coordination would only write the same single copy.
"""

import gc
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from rdvar_jax.devices.processes import barrier, is_main_process
from rdvar_jax.errors import CheckpointError
from rdvar_jax.exhausted import exhausted
from rdvar_jax.files import write_json
from rdvar_jax.training.room import check_room, silence_threads
from rdvar_jax.training.step import TrainState

MANIFEST = "manifest.json"
NUM_LATEST = 2
CHECKPOINTS = ("latest", "best")

logger = logging.getLogger("rdvar_jax")


@dataclass(frozen=True)
class SavedStep:
    """Contents of a manifest.

    Attributes:
        step: completed steps.
        epoch: completed epochs, fractional if the run was stopped within one; None if unknown
            because it was trained elsewhere.
        metrics: of that epoch; empty if the run was stopped within one.
        provenance: everything that determines the trained parameters: settings, data, teacher.
          Called "identity" in manifests up to 0.1.0.
        files: sha256 of every file, by its path inside the step's folder.
    """

    step: int
    epoch: float | None
    metrics: dict[str, float]
    provenance: dict[str, Any]
    files: dict[str, str]

    @property
    def sha256(self) -> str:
        """One hash for all files."""
        return hashlib.sha256(json.dumps(sorted(self.files.items())).encode()).hexdigest()


class Checkpoints:
    """The checkpoints of one run, in `folder/<step>/`: the two latest and the best one.

    Args:
        folder: created on the first save.
        best_metric: the metric that selects the best checkpoint.
        higher_is_better: whether its highest value is the best one.
    """

    def __init__(self, folder: Path, best_metric: str, higher_is_better: bool):
        self.folder = folder.resolve()
        self._best_metric = best_metric
        self._sign = 1 if higher_is_better else -1

    def save(
        self,
        state: TrainState,
        *,
        epoch: float | None,
        metrics: dict[str, float],
        provenance: dict[str, Any],
    ) -> None:
        """Writes the state and waits until it is on disk; an existing step is left unchanged.

        With several processes all call it with the same state; the main one writes.

        Raises:
            CheckpointError: the checkpoint cannot be written.
        """
        if is_main_process():
            self._save(state, epoch, metrics, provenance)
        barrier("saved")

    def _save(
        self,
        state: TrainState,
        epoch: float | None,
        metrics: dict[str, float],
        provenance: dict[str, Any],
    ) -> None:
        step = int(state.step)
        if (self.folder / str(step) / MANIFEST).exists():
            return
        values = _as_dict(state)
        silence_threads()
        try:
            self._write(step, values, epoch, metrics, provenance)
            return
        except Exception as error:
            problem = _why_unwritable(error)
            if problem is None:
                raise
        # The exception is gone, so that orbax's unfinished tasks end here, not as Python exits.
        gc.collect()
        self._remove_unfinished(step)
        (reason, remedy), latest = problem, self.find()
        kept = "nothing was saved before" if latest is None else f"step {latest.step} is kept"
        needed = _num_bytes(values) / 1e6
        raise CheckpointError(
            f"the checkpoint of step {step}, about {needed:.3g} MB, cannot be written to "
            f"{self.folder}, because {reason}; {kept}: {remedy}, then run the same command again."
        )

    def _write(
        self,
        step: int,
        values: dict[str, Any],
        epoch: float | None,
        metrics: dict[str, float],
        provenance: dict[str, Any],
    ) -> None:
        options = ocp.CheckpointManagerOptions(
            create=False,
            enable_async_checkpointing=False,
            cleanup_tmp_directories=True,
            multiprocessing_options=_this_process_only(),
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        check_room(self.folder, _num_bytes(values))
        with ocp.CheckpointManager(self.folder, options=options) as manager:
            manager.save(step, args=ocp.args.StandardSave(values))
        folder = self.folder / str(step)
        saved = SavedStep(step, epoch, metrics, provenance, dict(_hash_files(folder)))
        write_json(folder / MANIFEST, asdict(saved))
        self._remove_old()

    def _remove_unfinished(self, step: int) -> None:
        """Removes what a failed save has left of a step: it takes room and is of no use."""
        folder = self.folder / str(step)
        if not (folder / MANIFEST).exists():
            shutil.rmtree(folder, ignore_errors=True)
        for path in self.folder.glob(f"{step}.orbax-checkpoint-tmp*"):
            shutil.rmtree(path, ignore_errors=True)

    def set_aside_unfinished(self) -> None:
        """Removes partly written steps of a killed process and moves damaged steps away.

        Call it before training resumes: orbax refuses to save a step whose folder exists.
        """
        for step in self._steps():
            folder = self.folder / str(step)
            if not (folder / MANIFEST).exists():
                shutil.rmtree(folder)
                continue
            problem = _find_damage(folder)
            if problem:
                aside = self.folder.with_name("checkpoints_damaged") / str(step)
                logger.warning("checkpoint %d is damaged (%s); moved to %s", step, problem, aside)
                shutil.rmtree(aside, ignore_errors=True)
                aside.parent.mkdir(exist_ok=True)
                os.replace(folder, aside)

    def restore(
        self, abstract_state: TrainState, checkpoint: str = "latest"
    ) -> tuple[TrainState, SavedStep] | None:
        """Reads the newest intact checkpoint, or the best one.

        Args:
            abstract_state: shapes, dtypes and shardings of the state.
            checkpoint: one of `CHECKPOINTS`. Damaged ones are skipped for the next in order.

        Returns:
            The state and its manifest, or None if nothing was saved.

        Raises:
            CheckpointError: there are checkpoints, but none is intact.
        """
        problems = []
        for saved in self._ranked(checkpoint):
            folder = self.folder / str(saved.step)
            problem = _find_damage(folder)
            if problem:
                logger.warning("checkpoint %d is damaged (%s); trying another", saved.step, problem)
                problems.append(f"{folder}: {problem}")
                continue
            with ocp.CheckpointManager(
                self.folder,
                options=ocp.CheckpointManagerOptions(
                    create=False, read_only=True, multiprocessing_options=_this_process_only()
                ),
            ) as manager:
                return _restore(manager, saved.step, abstract_state), saved
        if problems:
            raise CheckpointError(
                f"no checkpoint in {self.folder} is intact ({'; '.join(problems)}); restore the "
                "folder from a copy, or train again in another --workdir."
            )
        return None

    def find(self, checkpoint: str = "latest") -> SavedStep | None:
        """Returns the manifest of the first checkpoint that `restore` would try, or None."""
        return next(iter(self._ranked(checkpoint)), None)

    def _ranked(self, checkpoint: str) -> list[SavedStep]:
        saved = [
            _read_manifest(self.folder / str(step))
            for step in self._steps()
            if (self.folder / str(step) / MANIFEST).exists()
        ]
        if checkpoint == "best":
            saved = [s for s in saved if self._best_metric in s.metrics]
            return sorted(saved, key=lambda s: self._rank(s.metrics), reverse=True)
        return sorted(saved, key=lambda s: s.step, reverse=True)

    def _remove_old(self) -> None:
        # Not left to orbax: its best-of policy forgets the metrics of earlier processes.
        keep = [*self._ranked("latest")[:NUM_LATEST], *self._ranked("best")[:1]]
        for step in set(self._steps()) - {saved.step for saved in keep}:
            shutil.rmtree(self.folder / str(step))

    def _rank(self, metrics: dict[str, float]) -> float:
        return self._sign * metrics[self._best_metric]

    def _steps(self) -> list[int]:
        if not self.folder.is_dir():
            return []
        return [int(path.name) for path in self.folder.iterdir() if path.name.isdigit()]


def _num_bytes(values: dict[str, Any]) -> int:
    return sum(x.nbytes for x in jax.tree.leaves(values))


def _why_unwritable(error: Exception) -> tuple[str, str] | None:
    """Returns reason and remedy, if the exception is about the disk; else it is a bug."""
    if limit := exhausted(error):
        return limit.reason, limit.remedy
    if isinstance(error, OSError):
        return error.strerror or str(error), "make the folder writable"
    return None


def _this_process_only() -> ocp.options.MultiprocessingOptions:
    """Options with which orbax neither waits for other processes nor shares work with them."""
    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    index = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=index, active_processes={index}, barrier_sync_key_prefix=f"process{index}"
    )


def _as_dict(state: TrainState) -> dict[str, Any]:
    # With several processes orbax cannot save arrays on one process's devices.
    return dict(vars(state if jax.process_count() == 1 else jax.device_get(state)))


def _restore(manager: ocp.CheckpointManager, step: int, abstract_state: TrainState) -> TrainState:
    target: dict[str, Any] = dict(vars(abstract_state))
    if jax.process_count() == 1:
        return TrainState(**manager.restore(step, args=ocp.args.StandardRestore(target)))
    empty = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), target)
    values = manager.restore(step, args=ocp.args.StandardRestore(empty))

    def put(x: jax.ShapeDtypeStruct, value: np.ndarray) -> jax.Array:
        return jax.make_array_from_callback(x.shape, x.sharding, lambda rows: value[rows])

    return TrainState(**jax.tree.map(put, target, values))


def _hash_files(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MANIFEST:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            yield path.relative_to(folder).as_posix(), digest


def _read_manifest(folder: Path) -> SavedStep:
    path = folder / MANIFEST
    try:
        entries = json.loads(path.read_text())
        if "identity" in entries:  # up to 0.1.0
            entries["provenance"] = entries.pop("identity")
        return SavedStep(**entries)
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}); remove the folder {folder} to continue without it."
        ) from error


def _find_damage(folder: Path) -> str | None:
    expected, found = _read_manifest(folder).files, dict(_hash_files(folder))
    for name, digest in expected.items():
        if name not in found:
            return f"{name} is missing"
        if found[name] != digest:
            return f"{name} has changed since it was written"
    return None
