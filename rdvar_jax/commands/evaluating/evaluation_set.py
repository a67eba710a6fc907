"""The files of an evaluation, which replace those of the one before together.

They are written to a hidden folder of the run, and a rename of that folder makes them valid. Only
then each is moved to its place. A kill before the rename leaves the old set, untouched; after it,
the next command that reads the set moves what was left.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rdvar_jax.errors import CheckpointError
from rdvar_jax.files.replacing import naming, publish_folder, sync_folder
from rdvar_jax.report.figures import is_own_figure
from rdvar_jax.runs.workdir import Workdir


@contextmanager
def new_evaluation(workdir: Workdir, checkpoint: str) -> Iterator[Workdir]:
    """Yields a folder to write an evaluation to; at the end its files replace the run's.

    It has the names of the run's folder. An empty file means that there is none in this set. After
    an error in the block the old set is left as it was.

    Raises:
        CheckpointError: something else has the name of the folder of figures.
        OSError: a file cannot be written.
    """
    finish_evaluation(workdir, checkpoint)
    figures = workdir.figures(checkpoint)
    if figures.exists() and not figures.is_dir():
        raise CheckpointError(f"{figures} is not a folder; remove or rename it.")
    part = _hidden(workdir, checkpoint, "part")
    shutil.rmtree(part, ignore_errors=True)  # of a killed call
    try:
        part.mkdir()
        yield Workdir(part)
        publish_folder(part, _hidden(workdir, checkpoint, "ready"))
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    finish_evaluation(workdir, checkpoint)


def finish_evaluation(workdir: Workdir, checkpoint: str) -> None:
    """Moves the files of a finished set to their places; does nothing if there is no such set.

    It may be interrupted and called again at any point.

    Raises:
        CheckpointError: a file cannot be moved.
    """
    ready = _hidden(workdir, checkpoint, "ready")
    if not ready.is_dir():
        return
    new = Workdir(ready)
    try:
        _replace_figures(new.figures(checkpoint), workdir.figures(checkpoint), ready / "before")
        for source, target in (
            (new.skipped_test, workdir.skipped_test),
            (new.scores(checkpoint), workdir.scores(checkpoint)),
            (new.evaluation(checkpoint), workdir.evaluation(checkpoint)),
            (new.results(checkpoint), workdir.results(checkpoint)),
        ):
            _replace(source, target)
        with naming(workdir.folder):
            sync_folder(workdir.folder)
        shutil.rmtree(ready)
    except OSError as error:
        raise CheckpointError(
            f"the files of an evaluation in {ready} cannot be moved to {workdir.folder} "
            f"({error.strerror or error}); make the folder writable and run the command again."
        ) from error


def _hidden(workdir: Workdir, checkpoint: str, kind: str) -> Path:
    return workdir.folder / f".{workdir.results(checkpoint).stem}.{kind}"


def _replace(source: Path, target: Path) -> None:
    if not source.exists():  # moved already
        return
    if source.stat().st_size:
        os.replace(source, target)
    else:
        target.unlink(missing_ok=True)


def _replace_figures(source: Path, target: Path, before: Path) -> None:
    """Replaces the folder of figures; files in it that are not ours go along."""
    if not source.is_dir():  # moved already
        return
    if target.is_dir():
        os.replace(target, before)
    if before.is_dir():
        for path in before.iterdir():
            if not is_own_figure(path) and not (source / path.name).exists():
                os.replace(path, source / path.name)
    os.replace(source, target)
