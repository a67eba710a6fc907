"""Paths in a run's folder, its `config.json`, and its list of skipped images."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rdvar_jax.errors import CheckpointError, ConfigError
from rdvar_jax.files.locks import RESULTS, TRAINING, locked_folder
from rdvar_jax.files.replacing import csv_line, make_folder, write_text
from rdvar_jax.files.sealed import DamagedFile, Entries, read_sealed, refuse_unsealed, write_sealed
from rdvar_jax.runs.config import (
    Config,
    config_from_json,
    default_config,
    determining_settings,
    with_full_scale,
)

# Sections and settings that are not there take their defaults, and unknown ones are refused.
ENTRIES = Entries({})
WAY_OUT = (
    "restore it from a copy, or remove it and run the same rdvar train command again, which writes "
    "it anew; settings are changed on the command line, such as --config.score.sigma=6."
)


@dataclass(frozen=True)
class Workdir:
    """Paths inside one run's folder."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config.json"

    @property
    def teacher(self) -> Path:
        return self.folder / "teacher.safetensors"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def tensorboard(self) -> Path:
        return self.folder / "tensorboard"

    @property
    def trained_images(self) -> Path:
        return self.folder / "trained_images.json"

    @property
    def folds(self) -> Path:
        return self.folder / "folds"

    @property
    def good_scores(self) -> Path:
        return self.folder / "good_scores.json"

    @property
    def ignore(self) -> Path:
        return self.folder / "ignore.png"

    @property
    def skipped_train(self) -> Path:
        return self.folder / "skipped.csv"

    @property
    def skipped_test(self) -> Path:
        return self.folder / "skipped_test.csv"

    @property
    def predictions(self) -> Path:
        return self.folder / "predictions"

    def results(self, checkpoint: str) -> Path:
        return self.folder / f"results{_suffix(checkpoint)}.json"

    def scores(self, checkpoint: str) -> Path:
        return self.folder / f"scores{_suffix(checkpoint)}.csv"

    def evaluation(self, checkpoint: str) -> Path:
        return self.folder / f"evaluation{_suffix(checkpoint)}.json"

    def threshold(self, checkpoint: str) -> Path:
        return self.folder / f"threshold{_suffix(checkpoint)}.json"

    def figures(self, checkpoint: str) -> Path:
        return self.folder / f"figures{_suffix(checkpoint)}"

    def report(self, checkpoint: str) -> Path:
        return self.folder / f"report{_suffix(checkpoint)}.html"


def _suffix(checkpoint: str) -> str:
    # The latest state is what is reported; files of any other carry its name.
    return "" if checkpoint == "latest" else f"_{checkpoint}"


@contextmanager
def locked_for_training(workdir: Workdir) -> Iterator[None]:
    """Keeps others from training the run; the folder is created if missing.

    Commands that read the run, or write its results, go on meanwhile.

    Raises:
        InUseError: another process trains it.
        CheckpointError: the folder cannot be written.
    """
    with ExitStack() as stack:
        try:
            way_out = "wait until it ends, or give another --workdir"
            stack.enter_context(locked_folder(workdir.folder, TRAINING, way_out))
        except OSError as error:
            raise CheckpointError(
                f"{workdir.folder} cannot be written ({error.strerror}); give another --workdir."
            ) from error
        yield


@contextmanager
def locked_for_results(workdir: Workdir, *, needed: bool = True) -> Iterator[None]:
    """Keeps others from writing results, threshold or report of the run.

    Args:
        workdir: the run.
        needed: whether this call writes into the folder. Otherwise it may be read-only.

    Raises:
        InUseError: another process does.
        CheckpointError: the folder cannot be written, but has to be.
    """
    with ExitStack() as stack:
        try:
            way_out = "run this command again when it has ended"
            stack.enter_context(locked_folder(workdir.folder, RESULTS, way_out))
        except OSError as error:
            if needed:
                raise CheckpointError(
                    f"{workdir.folder} cannot be written ({error.strerror}), and the results "
                    "belong there; make the folder writable."
                ) from error
        yield


def open_workdir(folder: Path, config: Config) -> Workdir:
    """Creates the folder and writes `config.json`, or opens it again with the same settings.

    Raises:
        CheckpointError: the folder cannot be written, or holds a run with other settings that
          change the trained parameters. Nothing is changed then.
    """
    workdir = Workdir(folder.resolve())
    if workdir.config.exists():
        return enter_workdir(folder, config)
    try:
        make_folder(workdir.folder)
        save_config(workdir, config)
    except OSError as error:
        raise CheckpointError(
            f"{folder} cannot be written ({error.strerror}); give another --workdir."
        ) from error
    return workdir


def check_writable(folder: Path) -> None:
    """Checks that a run's folder can be made or written to, without doing so.

    Raises:
        CheckpointError: it cannot.
    """
    folder = folder.resolve()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir():
        raise CheckpointError(f"{existing} is a file, not a folder; give another --workdir.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise CheckpointError(
            f"{folder} cannot be written (Permission denied, or a read-only disk); give another "
            "--workdir."
        )


def enter_workdir(folder: Path, config: Config) -> Workdir:
    """Opens a folder that `open_workdir` made, here or in another process.

    Raises:
        ConfigError: the folder does not exist.
        CheckpointError: it holds a run with other settings.
    """
    workdir = Workdir(folder.resolve())
    saved = determining_settings(load_config(workdir))
    refuse_other_settings(saved, determining_settings(config), f"{folder}")
    return workdir


def save_config(workdir: Workdir, config: Config) -> None:
    """Writes `config.json`, without the settings of a single process."""
    values = json.loads(config.to_json())
    del values["distributed"]
    values["score"]["ignore"] = ""  # a path of this machine; `ignore.png` is the run's copy
    write_sealed(workdir.config, values)


def keep_photographs(workdir: Workdir, config: Config) -> None:
    """Replaces the photographs that `config.json` names, for a run that is not trained further.

    Known defects can be given later, or lie elsewhere; all other settings stay as they were.
    """
    kept, data = load_config(workdir), config.data
    if (kept.data.good, kept.data.bad) != (data.good, data.bad):
        kept.data.update(good=data.good, bad=data.bad)
        save_config(workdir, kept)


def refuse_other_settings(saved: dict[str, Any], now: dict[str, Any], where: str) -> None:
    """Raises a CheckpointError that names each setting in which a saved run differs."""
    # A setting added after the run was saved had the effect of its default then.
    saved = {**determining_settings(default_config()), **saved}
    names = [name for name in now if saved[name] != now[name]]
    if saved.get("data.category") == "":  # an imported run may not know its category
        names = [name for name in names if name != "data.category"]
    if names:
        differences = ", ".join(f"{name} was {saved[name]!r}, now {now[name]!r}" for name in names)
        raise CheckpointError(
            f"{where} holds a run with other settings ({differences}); use the saved settings, or "
            "give another --workdir."
        )


def with_kept_full_scale(config: Config, workdir: Workdir) -> Config:
    """Returns the config in which the folder's run, if any, has decided `data.full_scale=auto`."""
    if not workdir.config.exists():
        return config
    return with_full_scale(config, load_config(workdir).data.full_scale)


def load_config(workdir: Workdir) -> Config:
    """Reads `config.json`; `score.ignore` is the run's `ignore.png`, if it has one.

    Raises:
        ConfigError: it is missing.
        CheckpointError: it is damaged, was edited, or cannot be read.
    """
    path = workdir.config
    try:
        config = config_from_json(json.dumps(read_sealed(path, ENTRIES, WAY_OUT).value))
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror}); --workdir must be a folder made by `rdvar "
            "train` that all processes of a job can see."
        ) from error
    except ConfigError as error:
        raise DamagedFile(path, error, WAY_OUT) from error
    config.score.ignore = str(workdir.ignore) if workdir.ignore.exists() else ""
    return config


def with_kept_ignore(config: Config, workdir: Workdir) -> Config:
    """Returns the config with the folder's `ignore.png`, if any, where it names no picture."""
    if config.score.ignore or not workdir.ignore.exists():
        return config
    config = config.copy_and_resolve_references()
    config.score.ignore = str(workdir.ignore)
    return config


def refuse_unsealed_config(workdir: Workdir) -> None:
    """Refuses a `config.json` without a seal, for a run whose states were saved with one."""
    if not read_sealed(workdir.config, ENTRIES, WAY_OUT).is_sealed:
        refuse_unsealed(workdir.config, WAY_OUT)


def write_skipped(path: Path, skipped: Iterable[tuple[str, str]]) -> None:
    """Writes the path and reason of each skipped image; without any, removes the file."""
    rows = list(skipped)
    if not rows:
        path.unlink(missing_ok=True)
        return
    write_text(path, "".join(map(csv_line, [("path", "reason"), *rows])))
