"""`Run`: opens a run's folder, saves into it and restores from it."""

import logging
import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from rdvar_jax.data.loading.arrays import TrainSet
from rdvar_jax.data.pixels.set_remarks import Aspects
from rdvar_jax.devices.processes import barrier, is_main_process
from rdvar_jax.errors import CheckpointError, ConfigError, UserError
from rdvar_jax.models.reverse_distillation import ReverseDistillation, read_teacher
from rdvar_jax.runs.bundle import describe, make_program, refuse_geometry
from rdvar_jax.runs.config import BEST_METRICS, Config, determining_settings, resolved
from rdvar_jax.runs.ignore_file import check_aspect, keep_ignore
from rdvar_jax.runs.recipe import Recipe
from rdvar_jax.runs.resume_checks import refuse_another
from rdvar_jax.runs.saved_run import SavedRun, TrainedRun, tiled
from rdvar_jax.runs.teacher_file import TeacherCopy, read_teacher_copy, write_teacher
from rdvar_jax.runs.threshold_file import RULE, read_threshold
from rdvar_jax.runs.trained_images import images_of, write_trained_images
from rdvar_jax.runs.workdir import (
    Workdir,
    check_writable,
    enter_workdir,
    load_config,
    open_workdir,
    refuse_unsealed_config,
    save_config,
    write_skipped,
)
from rdvar_jax.scoring.evaluation import make_scorer
from rdvar_jax.scoring.pooling import pack_pixels
from rdvar_jax.scoring.scores import fetch_programs
from rdvar_jax.serving.detector import Detector
from rdvar_jax.serving.runtimes.exported_program import ExportedProgram
from rdvar_jax.training.checkpoint import Checkpoints
from rdvar_jax.training.fit import first_state
from rdvar_jax.training.manifest import SavedStep
from rdvar_jax.training.step import TrainState

logger = logging.getLogger("rdvar_jax")


class Run:
    """A run: its folder, and the objects built from its settings.

    Attributes:
        recipe: the objects built from the settings.
        workdir: the paths in the folder.

    Example:
        >>> run = Run.open("W")
        >>> evaluate(run.model(), load_category("mvtec/screw").test).metrics
        >>> run.detector().predict(["a.png", "b.png"]).scores
    """

    def __init__(self, recipe: Recipe, workdir: Workdir):
        self.recipe = recipe
        self.workdir = workdir

    @classmethod
    def open(cls, folder: str | Path) -> "Run":
        """Opens the folder of a trained run.

        Args:
            folder: made by `rdvar train` or `Fitted.save`.

        Raises:
            ConfigError: it is not a run's folder, or its settings cannot be used here.

        Example:
            >>> Run.open("W").model().features(images)
        """
        workdir = Workdir(Path(folder).resolve())
        return cls(Recipe.for_prediction(resolved(load_config(workdir))), workdir)

    def check_folder(self) -> None:
        """Checks that `make_folder` will succeed, without writing; called by all processes.

        Raises:
            CheckpointError: see `make_folder`.
        """
        if self.workdir.config.exists():
            enter_workdir(self.workdir.folder, self.config)
        if is_main_process():
            check_writable(self.workdir.folder)

    def make_folder(self) -> None:
        """Creates the folder for training, or checks an existing one; called by all processes.

        Raises:
            CheckpointError: it cannot be written, or holds a run with other settings. Nothing is
              changed then.
        """
        if is_main_process():
            open_workdir(self.workdir.folder, self.config)
        barrier("workdir")
        enter_workdir(self.workdir.folder, self.config)

    @property
    def config(self) -> Config:
        return self.recipe.config

    @cached_property
    def checkpoints(self) -> Checkpoints:
        """Saved states, ranked by the config's best metric."""
        best = BEST_METRICS[self.config.train.best_metric]
        return Checkpoints(self.workdir.checkpoints, *best)

    def find_teacher(self) -> tuple[dict[str, Any], str, str] | None:
        """Reads the weights of `teacher.weights`; see `read_teacher`.

        None if the folder has its copy already, and in processes other than the main one.

        Raises:
            WeightsError: the weights cannot be found or downloaded, or do not fit.
        """
        if not is_main_process() or self.workdir.teacher.exists():
            return None
        recipe = self.recipe
        return read_teacher(recipe.architecture, recipe.stem_width, self.config.teacher.weights)

    def keep_teacher(self, found: tuple[dict[str, Any], str, str] | None) -> None:
        """Copies the teacher of `find_teacher` into the folder; called by all processes.

        From then on the run does not depend on `teacher.weights`. An existing copy is kept.
        """
        if found is not None:
            self.write_teacher(*found)
        barrier("teacher")

    def write_teacher(
        self, variables: Mapping[str, Any], source: str, unverified: str = ""
    ) -> None:
        """Writes the run's copy of the teacher."""
        arch = self.recipe.architecture.name
        write_teacher(self.workdir.teacher, arch, variables, source, unverified)

    def read_model(self) -> tuple[ReverseDistillation, TeacherCopy]:
        """Reads the run's copy of the teacher.

        Returns:
            A model with it and an untrained student, and the copy with its hashes.

        Raises:
            WeightsError: the copy cannot be read, or is damaged.
        """
        recipe, path = self.recipe, self.workdir.teacher
        found = read_teacher_copy(path, recipe.architecture.name, recipe.abstract_teacher)
        model = recipe.method.from_teacher(
            recipe.architecture,
            recipe.stem_width,
            found.variables,
            found.sha256,
            self.config.train.seed,
        )
        return model, found

    def provenance(
        self, teacher_sha256: str, fingerprint: str, aspects: Aspects | None = None
    ) -> dict[str, Any]:
        """Returns what the trained parameters depend on, for each checkpoint's manifest."""
        return {
            "settings": determining_settings(self.config),
            "data": fingerprint,
            "teacher": teacher_sha256,
            # Of the training images, lowest and highest; for a warning about others.
            "aspects": aspects,
        }

    def restore_or_start(
        self, model: ReverseDistillation, provenance: dict[str, Any]
    ) -> tuple[TrainState, SavedStep | None]:
        """Restores the newest intact state, or makes the first; called by all processes.

        Raises:
            CheckpointError: the saved state has other settings, images or weights, or no state is
              intact.
        """
        found = self.checkpoints.find()
        if found is not None:
            self._refuse_another(found, provenance)
        if is_main_process():
            self.checkpoints.set_aside_unfinished()
        barrier("unfinished checkpoints")
        restored = self.checkpoints.restore(self.recipe.abstract_state)
        if restored is None:
            return first_state(model, self.recipe.tx, self.recipe.loss, self.recipe.parallel), None
        state, saved = restored
        self._refuse_another(saved, provenance)  # perhaps of the step before
        logger.info("resuming from step %d (epoch %g)", saved.step, saved.epoch)
        return state, saved

    def _refuse_another(self, saved: SavedStep, provenance: dict[str, Any]) -> None:
        """Raises a CheckpointError if a state is not one of this run."""
        if saved.is_sealed:
            refuse_unsealed_config(self.workdir)
        refuse_another(saved, provenance, self.workdir)

    def begin(self, train_set: TrainSet) -> None:
        """Writes the settings, some of which may change when a run is resumed."""
        if is_main_process():
            save_config(self.workdir, self.config)
            skipped = ((one.name, one.reason) for one in train_set.skipped)
            write_skipped(self.workdir.skipped_train, skipped)

    def keep_trained_images(self, train_set: TrainSet) -> None:
        """Writes which images the run is trained on; also for a run of an earlier version."""
        if is_main_process():
            write_trained_images(self.workdir, images_of(train_set), train_set.fingerprint)

    def load(self, checkpoint: str = "latest") -> SavedRun:
        """Reads a saved state and the run's teacher.

        Args:
            checkpoint: "latest" or "best".

        Raises:
            CheckpointError: no such state exists, or it has other settings or weights.
            WeightsError: the copy of the teacher cannot be read.
        """
        found = self.checkpoints.find(checkpoint)
        if found is None:
            raise CheckpointError(
                f"{self.workdir.folder} has no {checkpoint} checkpoint; train first, until an "
                "epoch is saved."
            )
        model, teacher = self.read_model()
        here = {"settings": determining_settings(self.config), "teacher": teacher.sha256}
        self._refuse_another(found, here)  # before its arrays are read
        recipe = self.recipe
        restored = self.checkpoints.restore_student(
            recipe.abstract_student, lambda: recipe.abstract_state, checkpoint
        )
        assert restored is not None  # otherwise find returned None, or this raised
        student, saved = restored
        self._refuse_another(saved, here)
        self.check_ignore(saved.provenance.get("aspects"))
        return SavedRun(
            model.with_student(student),
            saved,
            teacher.sha256,
            teacher.source_sha256,
            teacher.unverified,
        )

    def check_ignore(self, aspects: Aspects | None) -> None:
        """Checks the picture of `score.ignore`, if any, for training images of these aspects.

        Raises:
            UserError: it cannot be used.
        """
        recipe = self.recipe
        if recipe.ignore is not None:
            check_aspect(recipe.ignore, self.config.score.ignore, aspects)
            _ = recipe.geometry.is_tiled or recipe.ignored

    def keep_ignore(self) -> None:
        """Keeps a copy of the picture of `score.ignore` for later commands, or removes it.

        Only the main process does.

        Raises:
            CheckpointError: the folder cannot be written.
        """
        if not is_main_process():
            return
        try:
            keep_ignore(self.workdir, self.recipe.ignore)
        except OSError as error:
            raise CheckpointError(
                f"{self.workdir.ignore} cannot be written ({error.strerror or error}); make the "
                "folder writable."
            ) from error

    def load_scorer(self, checkpoint: str = "latest") -> TrainedRun:
        """Reads a saved state and makes a function that scores images; see `load`."""
        self._fetch_programs()
        found, recipe = self.load(checkpoint), self.recipe
        score, geometry = self.config.score, recipe.geometry
        score_images = make_scorer(
            found.model,
            self.config.data.image_size,
            score.batch_size,
            recipe.parallel,
            sigma=score.sigma,
            precision=self.config.compute.precision,
            pooling=score.pooling,
            ignored=recipe.ignored_in_inputs,
        )
        return TrainedRun(
            tiled(score_images, geometry, score.pooling, recipe.ignore),
            found.saved,
            found.teacher_sha256,
            found.teacher_source_sha256,
            score_images,
            geometry,
            recipe.ignore,
            found.teacher_unverified,
        )

    def _fetch_programs(self) -> None:
        """Begins to load the programs of `load_scorer`, where they are kept."""
        recipe, score = self.recipe, self.config.score
        try:
            fetch_programs(
                *(recipe.teacher, recipe.student),
                *(self.config.data.image_size, score.batch_size, recipe.parallel, score.sigma),
                *(self.config.compute.precision, score.pooling),
                pack_pixels(recipe.ignored_in_inputs),
                *(recipe.abstract_teacher, recipe.abstract_student),
            )
        except UserError:  # of a picture; it is said once the state has been read
            pass

    def model(self, checkpoint: str = "latest") -> ReverseDistillation:
        """Reads the trained model.

        Args:
            checkpoint: "latest" or "best".

        Raises:
            CheckpointError: no such state exists, or it has other settings or weights.
            WeightsError: the copy of the teacher cannot be read.

        Example:
            >>> evaluate(Run.open("W").model(), load_category("mvtec/screw").test)
        """
        return self.load(checkpoint).model

    def detector(
        self,
        checkpoint: str = "latest",
        *,
        threshold: float | None = None,
        batch_size: int = 8,
    ) -> Detector:
        """Makes the detector that `rdvar export` would write as a file.

        Args:
            checkpoint: "latest" or "best".
            threshold: overrides the one of `rdvar threshold`.
            batch_size: maximum number of images scored at once.

        Raises:
            ConfigError: the threshold is not finite, or the run uses tiles, which a detector does
              not cut.
            CheckpointError, WeightsError: see `model`.

        Example:
            >>> found = Run.open("W").detector().predict(["a.png"])
            >>> found.scores, found.verdicts
        """
        if threshold is not None and not math.isfinite(threshold):
            raise ConfigError(f"threshold={threshold} must be a finite number.")
        refuse_geometry(self.recipe)
        found = self.load(checkpoint)
        if threshold is None:
            stored = read_threshold(self.config, self.workdir, checkpoint, found.saved)
        else:
            stored = {"threshold": threshold, "rule": RULE, "method": "given"}
        about = describe(self.recipe, found, checkpoint, stored)
        geometry = self.recipe.geometry
        size = geometry.height, geometry.width
        program = ExportedProgram(*make_program(self.recipe, found), size, batch_size)
        return Detector(about, program, batch_size, ignore=self.recipe.ignore)
