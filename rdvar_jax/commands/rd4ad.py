"""Conversion of runs from and to RD4AD's PyTorch checkpoints."""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

from rdvar_jax.errors import CheckpointError, ConfigError
from rdvar_jax.files.locks import is_free
from rdvar_jax.models.build import build_teacher, image_shape, student_shapes
from rdvar_jax.models.image_size import SIZE_MULTIPLE
from rdvar_jax.models.initialise import abstract_variables
from rdvar_jax.models.reverse_distillation import ReverseDistillation
from rdvar_jax.runs.config import Config, determining_settings
from rdvar_jax.runs.recipe import Recipe
from rdvar_jax.runs.run import Run
from rdvar_jax.runs.workdir import Workdir, locked_for_training, save_config
from rdvar_jax.training.fit import student_of
from rdvar_jax.training.step import init_state
from rdvar_jax.version import __version__
from rdvar_jax.weights.architectures import IMAGENET_WIDTH
from rdvar_jax.weights.catalogue import CATALOGUE
from rdvar_jax.weights.file_hash import sha256_of
from rdvar_jax.weights.load_teacher import load_teacher
from rdvar_jax.weights.name_map import to_torch
from rdvar_jax.weights.rd4ad import read_rd4ad, student_to_rd4ad, with_unused
from rdvar_jax.weights.safetensors_file import write_safetensors
from rdvar_jax.weights.torch_format.writer import write_torch_file

CONVERTER = f"rdvar_jax {__version__}"
TORCHVISION_LICENCE = "BSD-3-Clause, as torchvision, which trained them on ImageNet"
UNKNOWN_LICENCE = "not known to the converter: that of the source"


def import_rd4ad(config: Config, checkpoint: Path, workdir_path: Path) -> Workdir:
    """Makes a workdir from a checkpoint that RD4AD's code saved.

    It can be evaluated like any run but not trained further: Adam's moments and the epoch are not
    in the file. So the saved state has moments of 0, the step counted by the batch normalisations,
    no epoch and no metrics, and its provenance names the source.

    Args:
        config: `teacher`, `data.image_size` and the settings for scoring. `data.root` and
            `data.category` may be left to the evaluation.
        checkpoint: the `.pth` file.
        workdir_path: created if missing; must be empty.

    Raises:
        UserError: settings, weights or the folder cannot be used. If the checkpoint cannot be used,
            nothing is written.
    """
    recipe = Recipe.for_import(config)
    _refuse_other_methods(recipe)
    workdir = Workdir(workdir_path.resolve())
    with locked_for_training(workdir):
        if not is_free(workdir.folder):
            raise CheckpointError(f"{workdir_path} is not an empty folder; give another --workdir.")
        _import_rd4ad(recipe, checkpoint, workdir)
    return workdir


def _import_rd4ad(recipe: Recipe, checkpoint: Path, workdir: Workdir) -> None:
    config = recipe.config
    shapes = student_shapes(recipe.student, config.data.image_size)
    expected = abstract_variables(recipe.student, shapes, train=False)
    found = read_rd4ad(checkpoint, expected)
    run = Run(recipe, workdir)
    run.keep_teacher(run.find_teacher())
    state = init_state(found.variables, recipe.tx)
    state = recipe.parallel.replicate(replace(state, step=np.int32(found.step)))
    provenance = {
        "settings": determining_settings(config),
        "teacher": run.read_model()[1].sha256,
        "imported": {
            "source": checkpoint.name,
            "source_sha256": sha256_of(checkpoint),
            "converter": CONVERTER,
        },
    }
    run.checkpoints.save(state, epoch=None, metrics={}, provenance=provenance)
    run.keep_ignore()
    save_config(workdir, config)  # last: without it the folder is not a run


def export_rd4ad(
    config: Config, workdir: Workdir, output: Path, checkpoint: str = "latest"
) -> None:
    """Writes a run's networks as a checkpoint that RD4AD's code loads with strict names.

    Args:
        config: the run's, from `load_config`.
        workdir: the run's folder.
        output: the `.pth` file to write.
        checkpoint: "latest" or "best".

    Raises:
        UserError: the run has no intact checkpoint, or the file exists or cannot be written.
    """
    if output.exists():
        raise CheckpointError(f"{output} already exists; give another --output.")
    run = Run(Recipe.for_prediction(config), workdir)
    _refuse_other_methods(run.recipe)
    restored = run.checkpoints.restore(run.recipe.abstract_state, checkpoint)
    if restored is None:
        raise CheckpointError(f"{workdir.folder} has no {checkpoint} checkpoint; train first.")
    state, _ = restored
    variables = jax.device_get(student_of(state))
    write_torch_file(output, with_unused(student_to_rd4ad(variables), int(state.step)))


def _refuse_other_methods(recipe: Recipe) -> None:
    if recipe.method is not ReverseDistillation:
        raise ConfigError(
            f"model.name={recipe.config.model.name}: RD4AD's checkpoints hold reverse distillation "
            "only; rdvar export writes a run of any method."
        )


def convert_teacher(arch: str, source: Path, output: Path, licence: str = "") -> None:
    """Writes a teacher's layers of a torchvision weight file as safetensors.

    The metadata holds the architecture, the source's name and sha256, the licence and the
    converter's version.

    Args:
        arch: one of `ARCHITECTURES`.
        source: a `.pth` or safetensors file with torchvision's names and layouts.
        output: the file to write or replace.
        licence: a note on the weights' licence; by default torchvision's for its own files, and
            unknown for others.

    Raises:
        UserError: the source cannot be used, or the output cannot be written.
    """
    teacher = build_teacher(arch, IMAGENET_WIDTH)
    expected = abstract_variables(teacher, image_shape(SIZE_MULTIPLE))
    variables, found = load_teacher(arch, str(source), expected)
    is_torchvisions = found.sha256.startswith(CATALOGUE[arch].sha256_prefix)
    metadata = {
        "arch": arch,
        "source": found.name,
        "source_sha256": found.sha256,
        "licence": licence or (TORCHVISION_LICENCE if is_torchvisions else UNKNOWN_LICENCE),
        "converter": CONVERTER,
    }
    write_safetensors(output, to_torch(variables), metadata)
