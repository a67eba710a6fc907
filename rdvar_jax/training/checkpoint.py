"""Verified checkpoints: written by orbax, guarded by a manifest of hashes.

Orbax silently restores a bit-flipped file and does not fall back from a truncated one. So each
step's folder holds `manifest.json` with the sha256 of every file in it and with the run's
provenance. A folder gets its name once all that is in it is on disk, so a step is whole, damaged,
or not there.

With several processes each holds the whole state. So the main one saves alone and each restores
by itself from host arrays; orbax's coordination would only write the same single copy.

Orbax is loaded when a state is written or read whole. Scoring reads the student alone.
"""

import gc
import itertools
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from rdvar_jax.devices.processes import barrier, is_main_process
from rdvar_jax.errors import CheckpointError
from rdvar_jax.files.exhausted import exhausted
from rdvar_jax.files.replacing import make_folder, publish_folder, sync_folder
from rdvar_jax.training.manifest import (
    MANIFEST,
    SavedStep,
    find_damage,
    read_manifest,
    write_manifest,
)
from rdvar_jax.training.room import check_room, silence_threads
from rdvar_jax.training.step import TrainState
from rdvar_jax.training.student_arrays import STUDENT, read_student_arrays

UNFINISHED = ".unfinished"  # in the folder of checkpoints: what is being written or removed
NUM_LATEST = 2
CHECKPOINTS = ("latest", "best")

logger = logging.getLogger("rdvar_jax")


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
        except Exception as error:  # orbax and tensorstore have many for a failed write
            problem = _why_unwritable(error)
            if problem is None:
                raise
        # The exception is gone, so that orbax's unfinished tasks end here, not as Python exits.
        gc.collect()
        shutil.rmtree(self.folder / UNFINISHED, ignore_errors=True)
        (reason, remedy), latest = problem, max(self._steps(), default=None)
        kept = "nothing was saved before" if latest is None else f"step {latest} is kept"
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
        from rdvar_jax.training.orbax_files import write_arrays

        folder, unfinished = self.folder / str(step), self.folder / UNFINISHED
        if folder.exists():
            self._set_aside(step, f"{MANIFEST} is missing")
        shutil.rmtree(unfinished, ignore_errors=True)
        make_folder(unfinished)
        try:
            check_room(unfinished, _num_bytes(values))
            write_arrays(unfinished, step, values)
            written = unfinished / str(step)
            write_manifest(written, step, epoch, metrics, provenance)
            publish_folder(written, folder)
            self._remove_old()
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def set_aside_unfinished(self) -> None:
        """Removes what a killed process was writing, and moves damaged steps away.

        Call it before training resumes: orbax refuses to save a step whose folder exists. A step
        may be damaged in its manifest alone, so none is ever removed.

        Raises:
            CheckpointError: there are checkpoints, but none is intact. Nothing is moved then.
        """
        for path in (self.folder / UNFINISHED, *self.folder.glob("*.orbax-checkpoint-tmp*")):
            shutil.rmtree(path, ignore_errors=True)  # the latter of earlier versions
        problems = {}
        for step, saved in self._ranked("latest"):
            problem = self._find_damage(step, saved)
            if problem:
                problems[step] = problem
        if problems and len(problems) == len(self._steps()):
            raise self._none_is_intact(problems)
        for step, problem in problems.items():
            self._set_aside(step, problem)

    def _set_aside(self, step: int, problem: str) -> None:
        damaged = self.folder.with_name("checkpoints_damaged")
        make_folder(damaged)
        names = itertools.chain([str(step)], (f"{step}_{number}" for number in itertools.count(2)))
        aside = next(damaged / name for name in names if not (damaged / name).exists())
        logger.warning("checkpoint %d is damaged (%s); moved to %s", step, problem, aside)
        os.replace(self.folder / str(step), aside)
        sync_folder(damaged)
        sync_folder(self.folder)

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
        found = self._restore(checkpoint, lambda step: self._read_whole(step, abstract_state))
        return None if found is None else (TrainState(**found[0]), found[1])

    def restore_student(
        self,
        expected: Mapping[str, Any],
        abstract_state: Callable[[], TrainState],
        checkpoint: str = "latest",
    ) -> tuple[dict[str, Any], SavedStep] | None:
        """Reads the student's variables alone, of the checkpoint that `restore` would read.

        Args:
            expected: shapes and dtypes of {"params", "batch_stats"}.
            abstract_state: makes those of the whole state, which is read where only orbax can.
            checkpoint: see `restore`.

        Returns:
            {"params", "batch_stats"}, numpy or JAX arrays, and the manifest; None if nothing was
            saved.

        Raises:
            CheckpointError: see `restore`.
        """

        def read(step: int) -> dict[str, Any]:
            found = read_student_arrays(self.folder / str(step), expected)
            if found is None:
                whole = self._read_whole(step, abstract_state())
                found = {name: whole[name] for name in STUDENT}
            return found

        return self._restore(checkpoint, read)

    def _restore(
        self, checkpoint: str, read: Callable[[int], dict[str, Any]]
    ) -> tuple[dict[str, Any], SavedStep] | None:
        while True:
            before = set(self._steps())
            try:
                return self._read_intact(checkpoint, read)
            except Exception:  # orbax has many
                if before <= set(self._steps()):
                    raise
                # Training goes on meanwhile and has removed an old step; then there is a newer one.

    def _read_intact(
        self, checkpoint: str, read: Callable[[int], dict[str, Any]]
    ) -> tuple[dict[str, Any], SavedStep] | None:
        problems = {}
        for step, saved in self._ranked(checkpoint):
            problem = self._find_damage(step, saved)
            if problem and not (self.folder / str(step)).exists():
                raise FileNotFoundError(f"step {step} was removed while it was read")
            if problem or isinstance(saved, str):
                logger.warning("checkpoint %d is damaged (%s); trying another", step, problem)
                problems[step] = problem
                continue
            return read(step), saved
        if problems:
            raise self._none_is_intact(problems)
        return None

    def _read_whole(self, step: int, abstract_state: TrainState) -> dict[str, Any]:
        from rdvar_jax.training.orbax_files import read_arrays

        return read_arrays(self.folder, step, dict(vars(abstract_state)))

    def find(self, checkpoint: str = "latest") -> SavedStep | None:
        """Returns the manifest of the first checkpoint that `restore` would try, or None.

        Raises:
            CheckpointError: there are checkpoints, but the manifest of none can be read.
        """
        ranked = self._ranked(checkpoint)
        for _, saved in ranked:
            if isinstance(saved, SavedStep):
                return saved
        if ranked:
            raise self._none_is_intact({step: str(problem) for step, problem in ranked})
        return None

    def _ranked(self, checkpoint: str) -> list[tuple[int, SavedStep | str]]:
        """Returns each step in the order of trying: its manifest, or what is wrong with that."""
        found = [(step, read_manifest(self.folder / str(step))) for step in self._steps()]
        if checkpoint == "latest":
            return sorted(found, key=lambda pair: pair[0], reverse=True)
        # Any step without a manifest may have been the best one, so these are named first.
        ranked = [(step, saved) for step, saved in found if isinstance(saved, str)]
        known = [saved for _, saved in found if isinstance(saved, SavedStep)]
        known = [saved for saved in known if self._best_metric in saved.metrics]
        known.sort(key=lambda saved: self._rank(saved.metrics), reverse=True)
        return [*ranked, *((saved.step, saved) for saved in known)]

    def _find_damage(self, step: int, saved: SavedStep | str) -> str | None:
        return saved if isinstance(saved, str) else find_damage(self.folder / str(step), saved)

    def _none_is_intact(self, problems: dict[int, str]) -> CheckpointError:
        named = "; ".join(f"step {step}: {problem}" for step, problem in problems.items())
        return CheckpointError(
            f"no checkpoint in {self.folder} is intact ({named}); restore the folder from a copy, "
            "or train again in another --workdir."
        )

    def _remove_old(self) -> None:
        # Not left to orbax: its best-of policy forgets the metrics of earlier processes. A step
        # with a damaged manifest stays.
        known = {
            step: saved for step, saved in self._ranked("latest") if isinstance(saved, SavedStep)
        }
        best = [step for step, _ in self._ranked("best") if step in known]
        for step in set(known) - {*list(known)[:NUM_LATEST], *best[:1]}:
            # Renamed first, so that a kill leaves no half of a step under its name.
            removed = self.folder / UNFINISHED / f"{step}_removed"
            os.replace(self.folder / str(step), removed)
            shutil.rmtree(removed)

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


def _as_dict(state: TrainState) -> dict[str, Any]:
    # With several processes orbax cannot save arrays on one process's devices.
    return dict(vars(state if jax.process_count() == 1 else jax.device_get(state)))
