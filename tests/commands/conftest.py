"""A finished run that the tests of the command line share."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from javascript import install_example
from made_once import made_once
from rdvar_process import Rdvar
from write_order import WriteOrder

# Three good images are enough for it: the threshold is the highest of their scores.
TARGET = ("--target=0.4", "--confidence=0.75")


@dataclass(frozen=True)
class FinishedRun:
    """A run, and what each command said that made it. Copy its folders before changing them.

    Attributes:
        trained: the run as `rdvar train` left it.
        workdir: the run with a threshold of the good test images, evaluated, and with its page.
        exports: a folder of part.rdvar and part.onnx.
        said: by command; "onnx" is the second export.
    """

    trained: Path
    workdir: Path
    exports: Path
    said: dict[str, subprocess.CompletedProcess]


@pytest.fixture(scope="session")
def rdvar(toy_root, tmp_path_factory) -> Rdvar:
    return Rdvar(toy_root, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def finished(rdvar, tmp_path_factory) -> FinishedRun:
    """A run on which every command was called once."""

    def make(folder: Path) -> None:
        workdir, exports = folder / "run", folder / "exports"
        run = ("--workdir", workdir)
        exports.mkdir()
        commands = {
            "train": rdvar.train_args(workdir),
            "threshold": (*run, "--input", rdvar.root / "tile" / "test" / "good", *TARGET),
            "evaluate": run,
            "report": run,
            "export": (*run, "--output", exports / "part.rdvar"),
            "onnx": (*run, "--output", exports / "part.onnx", "--format", "onnx"),
        }
        said, order = {}, WriteOrder(folder)
        for name, args in commands.items():
            command = {"train": (), "onnx": ("export",)}.get(name, (name,))
            with order:
                done = rdvar.run(*command, *args)
            assert done.returncode == 0, done.stderr
            said[name] = vars(done)
            if name == "train":
                shutil.copytree(workdir, folder / "trained")
        (folder / "said.json").write_text(json.dumps(said))
        (folder / "write_order.json").write_text(
            json.dumps({"renamed": order.renamed, "problems": order.problems})
        )

    folder = made_once(tmp_path_factory, "finished", make)
    said = json.loads((folder / "said.json").read_text())
    return FinishedRun(
        folder / "trained",
        folder / "run",
        folder / "exports",
        {name: subprocess.CompletedProcess(**done) for name, done in said.items()},
    )


@pytest.fixture(scope="session")
def trained(finished) -> Path:
    """A run that was trained and nothing else. Copy it before changing it."""
    return finished.trained


@pytest.fixture(scope="session")
def evaluated(finished, tmp_path_factory) -> Path:
    """A run with results and without a threshold. Copy it before changing it."""
    workdir = Path(shutil.copytree(finished.workdir, tmp_path_factory.mktemp("evaluated") / "run"))
    (workdir / "threshold.json").unlink()
    return workdir


@pytest.fixture(scope="session")
def real(shared, tmp_path_factory) -> Rdvar:
    """`rdvar` on real images."""
    cache = tmp_path_factory.mktemp("real_cache")
    return Rdvar.as_users_run_it(shared / "data" / "mvtec_256", cache)


@pytest.fixture(scope="session")
def resnet18_weights(shared) -> Path:
    return shared / "weights" / "resnet18_imagenet_conv1_to_layer3.pth"


@pytest.fixture(scope="session")
def leather(real, resnet18_weights, tmp_path_factory) -> Path:
    """A short run on leather at 96 px, evaluated, with 19 of 64 images kept from training."""

    def make(folder: Path) -> None:
        workdir = folder / "run"
        settings = ("--config.data.image_size=96", "--config.train.epochs=8")
        settings = (*settings, "--config.data.validation=0.3")
        args = real.train_resnet18_args("leather_tiles", resnet18_weights, workdir, *settings)
        for command in (args, ("evaluate", "--workdir", workdir)):
            done = real.process(*command)
            assert done.returncode == 0, done.stderr

    return made_once(tmp_path_factory, "leather", make) / "run"


@pytest.fixture(scope="session")
def node_example(tmp_path_factory) -> Path:
    """The example in JavaScript, ready to run."""
    make = lambda folder: install_example(folder / "example")  # noqa: E731
    return made_once(tmp_path_factory, "node", make) / "example"


@pytest.fixture
def copy_of(tmp_path):
    """Copies a run that a test changes."""
    return lambda workdir: Path(shutil.copytree(workdir, tmp_path / "run"))
