"""The wheel: its metadata, and every command from it in an empty folder."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata

from rdvar_jax.version import __version__

REPOSITORY = Path(__file__).resolve().parents[1]

# One process for all: the imports take longer than the commands.
COMMANDS = """
import sys
import rdvar_jax
from rdvar_jax.cli.main import main
site, root = sys.argv[1:]
assert rdvar_jax.__file__.startswith(site), rdvar_jax.__file__
small = ["--config.data.image_size=32", "--config.teacher.stem_width=4", "--config.train.epochs=2",
         "--config.train.batch_size=4", "--config.data.validation=0.3"]
given = ["--config", "smoke:tile", f"--config.data.root={root}"]
run = ["--workdir", "W"]
for command in (
    ["settings"],
    ["weights"],
    ["prepare", "--source", "synthetic", "--size", "64", "--output", "parts"],
    ["inspect", *given, "--output", "sheet.png"],
    ["train", *given, *small, *run],
    ["evaluate", *run],
    ["threshold", *run, "--target", "0.7"],
    ["report", *run],
    ["predict", *run, "--input", f"{root}/tile/test/*/*.png", "--output", "out"],
    ["export", *run, "--output", "part.rdvar"],
):
    assert main(command) == 0, command
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel that `python -m build` makes from its own source archive."""
    source = tmp_path_factory.mktemp("source")
    # A copy, because building leaves files beside the sources.
    shutil.copytree(REPOSITORY / "rdvar_jax", source / "rdvar_jax")
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(REPOSITORY / name, source)
    # Without isolation, so that nothing is downloaded.
    command = [sys.executable, "-m", "build", "--no-isolation", str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = (source / "dist").glob("*.whl")
    return found


@pytest.mark.slow  # builds
def test_the_metadata_is_valid(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = Metadata.from_email(archive.read(name), validate=True)
    assert (metadata.name, str(metadata.version)) == ("rdvar-jax", __version__)
    assert metadata.license_expression == "Apache-2.0"
    assert set(metadata.license_files) == {"LICENSE", "NOTICE"}
    assert {"train", "onnx", "tfds", "stream", "all"} <= set(metadata.provides_extra)
    assert metadata.description == (REPOSITORY / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow  # trains, in a process whose package is the installed one
def test_every_command_works_from_the_wheel_in_an_empty_folder(wheel, toy_root, tmp_path):
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    install = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", site)
    subprocess.run([sys.executable, *install, wheel], check=True)
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    environment |= {"PYTHONPATH": str(site), "JAX_NUM_CPU_DEVICES": "1"}
    command = [sys.executable, "-W", "error", "-c", COMMANDS, str(site), str(toy_root)]
    done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (empty / "part.rdvar").is_file() and (empty / "W" / "report.html").is_file()
