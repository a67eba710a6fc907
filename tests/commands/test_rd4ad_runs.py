"""From RD4AD's checkpoints to workdirs and back, through the tools' own command lines."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from differences import assert_close
from golden_files import read_golden
from in_process import call_rdvar, call_script
from rd4ad_files import STEPS, rd4ad_states, write_states
from resnet_shapes import random_tensors
from torch_writer import tensor, write_zip

from rdvar_jax.commands import rd4ad as port
from rdvar_jax.devices.parallel import Parallel
from rdvar_jax.errors import CheckpointError, UserError
from rdvar_jax.runs.config import default_config
from rdvar_jax.runs.run import Run
from rdvar_jax.runs.workdir import Workdir, load_config
from rdvar_jax.scoring.scores import make_score_fn
from rdvar_jax.version import __version__
from rdvar_jax.weights.catalogue import CatalogueFile
from rdvar_jax.weights.safetensors_file import read_safetensors
from rdvar_jax.weights.torch_format.reader import read_torch_object

REPOSITORY = Path(__file__).resolve().parents[2]
ARCH, SIZE = "resnet18", 64


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A folder with `teacher.pth` and `checkpoint.pth`, of PyTorch's golden weights."""
    folder = tmp_path_factory.mktemp("rd4ad")
    golden = read_golden(ARCH)
    teacher = {
        name.removeprefix("teacher."): tensor(np.array(array))
        for name, array in golden.weights.items()
        if name.startswith("teacher.")
    }
    write_zip(folder / "teacher.pth", teacher)
    write_states(folder / "checkpoint.pth", rd4ad_states(golden))
    return folder


def tool(name: str, *args) -> subprocess.CompletedProcess:
    """Calls a tool in this process."""
    return call_script(REPOSITORY / "tools" / f"{name}.py", *args)


def port_args(files, workdir, *settings) -> list:
    return [
        "from_rd4ad",
        *("--arch", ARCH, "--teacher", files / "teacher.pth"),
        *("--checkpoint", files / "checkpoint.pth", "--workdir", workdir),
        f"--config.teacher.stem_width={read_golden(ARCH).stem_width}",
        f"--config.data.image_size={SIZE}",
        "--config.parallel.num_devices=1",
        *settings,
    ]


@pytest.fixture(scope="module")
def imported(files, tmp_path_factory) -> Path:
    workdir = tmp_path_factory.mktemp("imported") / "run"
    done = tool("port", *port_args(files, workdir))
    assert done.returncode == 0, done.stderr
    assert f"rdvar evaluate --workdir {workdir}" in done.stdout
    return workdir


def test_an_imported_run_gives_pytorchs_maps(imported):
    run = Run.open(imported)
    found = run.load()
    assert (found.saved.step, found.saved.epoch) == (STEPS, None)
    parallel = Parallel("pmap", tuple(jax.local_devices()[:1]))
    networks = found.model.teacher, found.model.student
    score_fn = make_score_fn(*networks, SIZE, 4, parallel, run.config.score.sigma)
    golden = read_golden(ARCH)
    with jax.default_matmul_precision("highest"):
        maps, scores = score_fn(
            parallel.replicate(found.model.teacher_variables),
            parallel.replicate(found.model.student_variables),
            golden.batches[0],
        )
    expected = {name: golden.values[name] for name in ("maps", "scores")}
    assert_close({"maps": maps, "scores": scores}, expected, 2e-6)


def test_an_imported_run_is_evaluated_and_not_trained(imported, toy_root):
    settings = (f"--config.data.root={toy_root}", "--config.data.category=tile")
    settings = (*settings, "--config.report.max_figures=1")
    done = call_rdvar("evaluate", "--workdir", imported, *settings)
    assert done.returncode == 0, done.stderr
    results = json.loads((imported / "results.json").read_text())
    assert results["imported"]["source"] == "checkpoint.pth"
    assert results["imported"]["converter"] == f"rdvar_jax {__version__}"
    assert (results["step"], results["epoch"], results["seed"]) == (STEPS, None, None)
    assert 0 <= results["metrics"]["image_auroc"] <= 1
    assert len((imported / "scores.csv").read_text().splitlines()) == 8

    before = {path: path.stat().st_mtime_ns for path in imported.rglob("*")}
    settings = (
        "--config",
        REPOSITORY / "configs" / "smoke.py:tile",
        f"--config.data.root={toy_root}",
    )
    done = call_rdvar("train", *settings, "--workdir", imported)
    assert done.returncode == 2
    assert "imported from checkpoint.pth and cannot be trained further" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert before == {path: path.stat().st_mtime_ns for path in imported.rglob("*")}


def test_the_way_back_is_bit_equal(imported, files, tmp_path):
    output = tmp_path / "back.pth"
    done = tool("port", "to_rd4ad", "--workdir", imported, "--output", output)
    assert done.returncode == 0, done.stderr
    back, there = read_torch_object(output), read_torch_object(files / "checkpoint.pth")
    assert set(back) == set(there)
    for part in there:
        assert set(back[part]) == set(there[part])
        for name, want in there[part].items():
            if name != "conv4.weight":  # of no use to anybody, and filled with zeros
                np.testing.assert_array_equal(back[part][name], want, name, strict=True)
    with pytest.raises(CheckpointError, match="already exists"):
        workdir = Workdir(imported)
        port.export_rd4ad(load_config(workdir), workdir, output)


def config_for(files: Path, **data):
    config = default_config()
    config.teacher.arch, config.teacher.weights = ARCH, str(files / "teacher.pth")
    config.teacher.stem_width = read_golden(ARCH).stem_width
    config.data.image_size = SIZE
    config.data.update(data)
    return config


def test_what_cannot_be_imported_leaves_nothing(files, tmp_path):
    checkpoint, workdir = files / "checkpoint.pth", tmp_path / "w"
    for config, source, words in (
        (config_for(files), files / "teacher.pth", "lacks 'bn'"),
        (config_for(files), files / "no.pth", "does not exist"),
        (config_for(files, image_size=65), checkpoint, "multiple of 32"),
        (config_for(files, root=str(files), category="no"), checkpoint, "no"),
    ):
        with pytest.raises(UserError, match=words):
            port.import_rd4ad(config, source, workdir)
        assert not workdir.exists()
    with pytest.raises(CheckpointError, match="not an empty folder"):
        port.import_rd4ad(config_for(files), checkpoint, files)
    assert len(list(files.iterdir())) == 2


def test_tools_say_one_sentence(files, tmp_path):
    for args, words in (
        (port_args(files, tmp_path / "w", "--config.foo.bar=3"), "unknown setting"),
        (port_args(files, "", "--config.data.root=/"), "argument --workdir"),
    ):
        # A process, as the tool is started.
        command = [sys.executable, REPOSITORY / "tools" / "port.py", *args]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
        assert done.returncode == 2
        assert (
            done.stderr.startswith(f"port from_rd4ad: {words}")
            and len(done.stderr.splitlines()) == 1
        )
    done = tool("port", "rd4ad")
    assert done.returncode == 2
    assert "give one of weights, from_rd4ad, to_rd4ad" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_converted_teacher_says_where_it_came_from(tmp_path, monkeypatch):
    state = {name: tensor(array) for name, array in random_tensors(ARCH, seed=0).items()}
    source = write_zip(tmp_path / "mine.pth", state)
    output = tmp_path / "mine.safetensors"
    done = tool("port", "weights", source, output, "--arch", ARCH)
    assert done.returncode == 0, done.stderr
    tensors, metadata = read_safetensors(output)
    assert metadata == {
        "arch": ARCH,
        "source": "mine.pth",
        "source_sha256": port.sha256_of(source),
        "licence": port.UNKNOWN_LICENCE,
        "converter": f"rdvar_jax {__version__}",
    }
    weights = read_torch_object(source)
    kept = {name for name in weights if not name.startswith(("layer4.", "fc."))}
    assert set(tensors) == {name for name in kept if not name.endswith("num_batches_tracked")}
    for name, array in tensors.items():
        np.testing.assert_array_equal(array, weights[name])

    its_hash = CatalogueFile(ARCH, port.sha256_of(source)[:8])
    monkeypatch.setitem(port.CATALOGUE, ARCH, its_hash)
    port.convert_teacher(ARCH, source, output)
    assert read_safetensors(output)[1]["licence"] == port.TORCHVISION_LICENCE
