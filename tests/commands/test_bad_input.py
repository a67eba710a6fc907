"""Every kind of bad input from the command line: one sentence, exit code 2, nothing lost."""

import json
import os
import pickle
import shutil
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rdvar_process import REPOSITORY, assert_one_sentence
from resealed import seal_again
from safetensors.numpy import load_file, save_file


@pytest.fixture
def data(toy_root, tmp_path) -> Path:
    """A copy of the toy data that a test may damage."""
    return Path(shutil.copytree(toy_root, tmp_path / "data"))


def folder_hash(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def resize(path: Path) -> None:
    with Image.open(path) as image:
        image.resize((40, 48)).save(path)


# One of each place where it is found; tests/data/pixels/test_bad_files.py has all kinds.
BAD_TRAINING_DATA = {
    "truncated": (lambda d: truncate(d / "tile/train/good/003.png"), ["003.png", "damaged"]),
    "mixed sizes": (
        lambda d: resize(d / "tile/train/good/003.png"),
        ["different pixel sizes", "003.png", "data.allow_mixed_sizes"],
    ),
    "missing mask": (
        lambda d: (d / "tile/ground_truth/spot/001_mask.png").unlink(),
        ["test/spot/001.png", "no mask", "ground_truth/spot/001_mask.png"],
    ),
}


@pytest.mark.parametrize("case", BAD_TRAINING_DATA)
def test_bad_training_data(rdvar, data, tmp_path, case):
    damage, parts = BAD_TRAINING_DATA[case]
    damage(data)
    done = rdvar.train(tmp_path / "run", f"--config.data.root={data}")
    assert_one_sentence(done, *parts)


def test_mixed_sizes_can_be_allowed(rdvar, data, tmp_path):
    resize(data / "tile/train/good/003.png")
    settings = (f"--config.data.root={data}", "--config.data.allow_mixed_sizes=True")
    done = rdvar.train(tmp_path / "run", *settings, "--config.train.epochs=1")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("damage", "parts"),
    [
        (lambda d: resize(d / "tile/ground_truth/spot/001_mask.png"), ["001_mask.png", "40x48"]),
        (lambda d: truncate(d / "tile/test/good/001.png"), ["test/good/001.png", "damaged"]),
    ],
    ids=["mask of another size", "truncated test image"],
)
def test_bad_test_data(rdvar, trained, data, copy_of, damage, parts):
    damage(data)
    workdir = copy_of(trained)
    before = folder_hash(workdir)
    done = rdvar.evaluate(workdir, f"--config.data.root={data}")
    assert_one_sentence(done, *parts)
    assert folder_hash(workdir) == before


class CallsSystem:
    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def write_zip_pth(path: Path, pickled: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        file.writestr("archive/data.pkl", pickled)
        file.writestr("archive/version", "3\n")


def test_a_pickle_that_runs_a_command(rdvar, tmp_path):
    marker, weights = tmp_path / "was-run", tmp_path / "evil.pth"
    write_zip_pth(weights, pickle.dumps({"conv1.weight": CallsSystem(marker)}, protocol=2))
    done = rdvar.train(tmp_path / "run", f"--config.teacher.weights={weights}")
    assert_one_sentence(done, "evil.pth", "system")
    assert not marker.exists()


def test_truncated_weights(rdvar, trained, tmp_path):
    weights = tmp_path / "cut.safetensors"
    data = (trained / "teacher.safetensors").read_bytes()
    weights.write_bytes(data[: len(data) // 2])
    done = rdvar.train(tmp_path / "run", f"--config.teacher.weights={weights}")
    assert_one_sentence(done, "cut.safetensors")


@pytest.mark.real_data
def test_truncated_pth(rdvar, shared, tmp_path):
    weights = tmp_path / "cut.pth"
    data = (shared / "weights" / "resnet18_imagenet_conv1_to_layer3.pth").read_bytes()
    weights.write_bytes(data[: len(data) // 2])
    settings = ("--config.teacher.stem_width=64", f"--config.teacher.weights={weights}")
    assert_one_sentence(rdvar.train(tmp_path / "run", *settings), "cut.pth")


@pytest.mark.real_data
def test_weights_of_another_architecture(rdvar, shared, tmp_path):
    weights = shared / "weights" / "resnet18_imagenet_conv1_to_layer3.pth"
    done = rdvar.train(
        tmp_path / "run",
        "--config.teacher.arch=resnet50",
        "--config.teacher.stem_width=64",
        f"--config.teacher.weights={weights}",
    )
    assert_one_sentence(done, "resnet18", "teacher.arch")


def test_weights_that_lack_a_tensor_or_hold_a_stranger(rdvar, trained, tmp_path):
    tensors = load_file(trained / "teacher.safetensors")
    tensors["head.weight"] = tensors.pop("layer3.1.conv2.weight")
    weights = tmp_path / "odd.safetensors"
    save_file(tensors, weights)
    done = rdvar.train(tmp_path / "run", f"--config.teacher.weights={weights}")
    assert_one_sentence(done, "odd.safetensors", "layer3.1.conv2.weight", "head.weight")


def test_a_workdir_that_cannot_be_written(rdvar, tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    # In a process, for root's powers.
    done = rdvar.process(*rdvar.train_args(folder), root_powers=False)
    folder.chmod(0o755)
    assert_one_sentence(done, str(folder), "cannot be written", "--workdir")
    assert list(folder.iterdir()) == []


def test_a_run_of_another_configuration(rdvar, trained, copy_of):
    workdir = copy_of(trained)
    before = folder_hash(workdir)
    done = rdvar.train(workdir, "--config.loss.lambda_var=0.7", "--config.train.seed=5")
    assert_one_sentence(
        done, "loss.lambda_var was 0.1, now 0.7", "train.seed was 0, now 5", "--workdir"
    )
    assert folder_hash(workdir) == before


def test_a_checkpoint_of_another_configuration(rdvar, trained, copy_of):
    # The config file agrees; the checkpoints come from elsewhere.
    workdir = copy_of(trained)
    teacher = json.loads((workdir / "config.json").read_text())["teacher"]
    seal_again(workdir / "config.json", teacher={**teacher, "stem_width": 8})
    (workdir / "teacher.safetensors").unlink()
    before = folder_hash(workdir / "checkpoints")
    done = rdvar.train(workdir, "--config.teacher.stem_width=8")
    assert_one_sentence(done, "checkpoint of step 20", "teacher.stem_width was 4, now 8")
    assert folder_hash(workdir / "checkpoints") == before


def test_training_images_that_changed(rdvar, trained, copy_of, data):
    workdir = copy_of(trained)
    before = folder_hash(workdir)
    path = data / "tile/train/good/000.png"
    with Image.open(path) as image:
        pixels = np.array(image)
    Image.fromarray(255 - pixels).save(path)
    done = rdvar.train(workdir, f"--config.data.root={data}", "--config.train.epochs=9")
    assert_one_sentence(done, "trained on different images", "data.root")
    assert folder_hash(workdir) == before


def test_evaluating_without_a_run(rdvar, tmp_path):
    assert_one_sentence(rdvar.evaluate(tmp_path), "config.json", "rdvar train")


def test_evaluating_before_anything_is_saved(rdvar, trained, copy_of):
    workdir = copy_of(trained)
    shutil.rmtree(workdir / "checkpoints")
    assert_one_sentence(rdvar.evaluate(workdir), "no latest checkpoint", "train first")


def test_evaluating_damaged_checkpoints(rdvar, trained, copy_of):
    workdir = copy_of(trained)
    for manifest in (workdir / "checkpoints").glob("*/manifest.json"):
        files = [p for p in manifest.parent.rglob("*") if p.is_file() and p != manifest]
        truncate(max(files, key=lambda p: p.stat().st_size))
    assert_one_sentence(rdvar.evaluate(workdir), "no checkpoint", "restore the folder")


def test_evaluating_with_settings_of_training_changed(rdvar, trained):
    done = rdvar.evaluate(trained, "--config.data.image_size=64")
    assert_one_sentence(done, "data.image_size was 32, now 64")


# (arguments after --workdir, parts of the sentence), from a folder with the toy data in `data`.
BAD_PREDICTIONS = {
    "no input": (["--output=out"], ["no image is given; name images"]),
    "an empty path": (["--output=out", ""], ["a path is empty"]),
    "no output to watch into": (["--watch", "data"], ["--output is missing; with --watch"]),
    "a page of a watch": (["--watch", "--page", "data", "--output=out"], ["leave out --page"]),
    "a bundle too": (["--bundle=x.rdvar", "data"], ["--workdir and --bundle are both given"]),
    "missing path": (["--input=data", "--input=gone", "--output=out"], ["gone does not exist"]),
    "missing second file": (["--output=out", "--input", "data", "lost.png"], ["lost.png"]),
    "no images": (["--input=empty", "--output=out"], ["empty holds no image", "png"]),
    "output is a file": (["--input=data", "--output=file"], ["--output file is a file"]),
    "output under a file": (["--input=data", "--output=file/out"], ["file/out", "written"]),
    "output with other things": (
        ["--input=data/tile", "--output=data"],
        ["data/tile is inside --output data", "give an output that holds none"],
    ),
    "output in the input": (["--input=data", "--output=data/new"], ["is inside the input data"]),
    "one result for two": (
        ["--input=data/tile/test/good", "--input=data/tile/test/spot", "--output=out"],
        ["good/000.png and ", "spot/000.png would both", "000.png; leave one out"],
    ),
    "settings of training": (
        ["--input=data", "--output=out", "--config.data.image_size=64"],
        ["data.image_size was 32, now 64"],
    ),
    "batch and devices": (
        [
            *("--input=data", "--output=out"),
            *("--config.score.batch_size=3", "--config.parallel.num_devices=4"),
        ],
        ["score.batch_size=3 cannot be split over 4 devices"],
    ),
}


@pytest.mark.parametrize("case", BAD_PREDICTIONS)
def test_bad_prediction(rdvar, trained, data, tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("file").write_text("mine")
    before = folder_hash(tmp_path), folder_hash(trained)
    arguments, parts = BAD_PREDICTIONS[case]
    done = rdvar.run("predict", "--workdir", trained, *arguments)
    assert_one_sentence(done, *parts)
    assert len(done.stderr.splitlines()) == 1
    assert (folder_hash(tmp_path), folder_hash(trained)) == before
    assert not Path("out").exists()


def test_an_output_that_cannot_be_written(rdvar, trained, toy_root, tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    args = ("predict", "--workdir", trained, "--input", toy_root / "tile", "--output", folder)
    done = rdvar.process(*args, root_powers=False)  # in a process, for root's powers
    folder.chmod(0o755)
    assert_one_sentence(done, f"--output {folder} cannot be written (Permission denied)")


def test_predicting_without_a_run_or_with_damaged_results(
    rdvar, trained, copy_of, toy_root, tmp_path
):
    options = ("--input", toy_root / "tile", "--output", tmp_path / "out")
    done = rdvar.run("predict", "--workdir", tmp_path, *options)
    assert_one_sentence(done, "config.json", "rdvar train")
    workdir = copy_of(trained)
    (workdir / "results.json").write_text('{"metrics": ')
    done = rdvar.run("predict", "--workdir", workdir, *options)
    assert_one_sentence(done, "results.json", "rdvar evaluate again")
    assert not (tmp_path / "out").exists()


def test_no_network_and_no_weights(rdvar, tmp_path, monkeypatch):
    # A proxy that nobody listens at: the download fails at once.
    proxy = urllib.request.ProxyHandler({"https": "http://127.0.0.1:9"})
    monkeypatch.setattr("urllib.request._opener", urllib.request.build_opener(proxy))
    settings = ("--config.teacher.weights=", "--config.teacher.stem_width=64")
    done = rdvar.train(tmp_path / "run", *settings)
    assert_one_sentence(done, "resnet18-f37072fd.pth", "f37072fd", "teacher.weights")


def test_several_bad_settings_are_said_together(rdvar, tmp_path):
    done = rdvar.train(
        tmp_path / "run", "--config.data.image_size=100", "--config.loss.lambda_var=-1"
    )
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("rdvar: ")]
    assert len(lines) == 2
    assert not (tmp_path / "run").exists()


def test_an_unknown_setting(rdvar, tmp_path):
    assert_one_sentence(rdvar.train(tmp_path / "run", "--config.train.epoch=3"), "epoch")


def test_a_config_file_that_is_not_there(rdvar, tmp_path):
    done = rdvar.run("train", "--config", "nowhere.py:tile", "--workdir", tmp_path / "run")
    assert_one_sentence(done, "--config", "nowhere.py")


def test_a_config_file_with_an_error_in_it(rdvar, tmp_path):
    path = tmp_path / "broken.py"
    path.write_text((REPOSITORY / "configs" / "smoke.py").read_text() + "\n    (\n")
    done = rdvar.run("train", "--config", path, "--workdir", tmp_path / "run")
    assert_one_sentence(done, "broken.py")
