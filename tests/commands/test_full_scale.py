"""A camera of 12 bits: `data.full_scale=auto` from the training images to every other command."""

import csv
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from made_once import made_once
from PIL import Image
from rdvar_process import REPOSITORY, Rdvar, assert_one_sentence

from rdvar_jax import Detector
from rdvar_jax.errors import DataError
from rdvar_jax.serving.archive import PROGRAM, WEIGHTS, read_bundle, write_bundle

DARK = (
    "reaches an eighth of data.full_scale=4095: the highest is 220, so they are almost black; "
    "train with data.full_scale=255, or auto."
)


def write_16_bits(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint16)).save(path)


@pytest.fixture(scope="module")
def folder(rdvar, toy_root, tmp_path_factory) -> Path:
    """The toy category in 12 bits, a run of it, and its test images in other depths."""

    def make(folder: Path) -> None:
        brightest = 0
        for path in sorted((toy_root / "tile").rglob("*.png")):
            grey = np.asarray(Image.open(path).convert("L")).astype(int)
            target = folder / "root" / "tile" / path.relative_to(toy_root / "tile")
            if "ground_truth" in path.parts:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
                continue
            values = grey * 16 + np.arange(64) % 16
            write_16_bits(target, values)
            brightest = max(brightest, values.max() * ("train" in path.parts))
            if "test" in path.parts:
                name = path.parent.name + path.name
                write_16_bits(folder / "twelve" / name, values)
                eight = np.floor(values * 255 / 4095 + 0.5).astype(np.uint8)
                (folder / "eight").mkdir(exist_ok=True)
                Image.fromarray(eight).save(folder / "eight" / name)
                write_16_bits(folder / "dark" / name, eight)
        assert 1023 < brightest <= 4095
        done = twelve_bits(rdvar, folder).train(folder / "run", *AUTO)
        assert done.returncode == 0, done.stderr
        assert "data.full_scale=auto: 4095, since the highest value is" in done.stderr
        assert "almost black" not in done.stderr
        export = ("export", "--workdir", folder / "run", "--output", folder / "part.rdvar")
        done = rdvar.run(*export, "--threshold", "0.5")
        assert done.returncode == 0, done.stderr

    return made_once(tmp_path_factory, "twelve_bits", make)


AUTO = ("--config.train.epochs=1", "--config.data.full_scale=auto")


def twelve_bits(rdvar: Rdvar, folder: Path) -> Rdvar:
    return Rdvar(folder / "root", Path(rdvar.environment["RDVAR_CACHE"]))


def predict(rdvar, folder: Path, depth: str, output: Path, *args):
    """Scores by name, and what it said."""
    done = rdvar.run(
        *("predict", "--workdir", folder / "run", "--input", folder / depth, "--output", output),
        *("--noheat_maps", "--nooverlays", *args),
    )
    assert done.returncode == 0, done.stderr
    with (output / "scores.csv").open() as file:
        return [float(row["score"]) for row in csv.DictReader(file)], done.stderr


def test_auto_is_kept_as_a_number_and_may_be_given_again(rdvar, folder):
    config = json.loads((folder / "run" / "config.json").read_text())
    assert config["data"]["full_scale"] == 4095
    again = twelve_bits(rdvar, folder)
    done = again.train(folder / "run", *AUTO)
    assert done.returncode == 0 and "nothing to do" in done.stderr
    other = "data.full_scale was 4095, now 1023"
    setting = "--config.data.full_scale=1023"
    assert_one_sentence(again.train(folder / "run", *AUTO, setting), other)
    assert_one_sentence(again.evaluate(folder / "run", setting), other)
    wrong = "data.full_scale=black must be type, auto, or the grey value that is white"
    wrong_setting = "--config.data.full_scale=black"
    assert_one_sentence(again.train(folder / "new", *AUTO, wrong_setting), wrong)


def test_twelve_bits_score_like_the_same_brightness_in_eight(rdvar, folder, tmp_path):
    twelve, said = predict(rdvar, folder, "twelve", tmp_path / "12")
    eight, _ = predict(rdvar, folder, "eight", tmp_path / "8")
    assert twelve == eight and len(set(twelve)) > 4
    assert "full_scale" not in said
    # The run's number counts, whatever auto would be of these images.
    auto = "--config.data.full_scale=auto"
    dark, said = predict(rdvar, folder, "dark", tmp_path / "dark", auto)
    assert dark != eight
    assert said.count("No 16-bit grey value of the images " + DARK) == 1


def test_a_threshold_from_dark_images_is_warned_of(rdvar, folder, tmp_path):
    args = ("--input", folder / "dark", "--target=0.4", "--confidence=0.75")
    done = rdvar.run("threshold", "--workdir", folder / "run", *args)
    (folder / "run" / "threshold.json").unlink()
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("No 16-bit grey value of the good images " + DARK) == 1


def test_a_bundle_reads_the_same_and_an_old_one_as_before(folder, tmp_path, caplog):
    paths = {depth: sorted((folder / depth).iterdir()) for depth in ("twelve", "eight", "dark")}
    detector = Detector.load(folder / "part.rdvar")
    scores = {depth: detector.predict(of_depth).scores for depth, of_depth in paths.items()}
    np.testing.assert_array_equal(scores["twelve"], scores["eight"])
    assert detector.manifest["image"]["full_scale"] == 4095
    assert not caplog.records  # the brightest of all images counts
    dark = Detector.load(folder / "part.rdvar")
    for _ in range(2):
        dark.predict(paths["dark"])
    assert [record.getMessage() for record in caplog.records] == [
        "No 16-bit grey value of the images " + DARK
    ]
    caplog.clear()
    manifest, members = read_bundle(folder / "part.rdvar")
    for name in ("full_scale", "max_pixels", "aspects"):
        del manifest["image"][name]
    about = {k: v for k, v in manifest.items() if k not in ("format", "format_version", "files")}
    kept = {name: members[name] for name in (PROGRAM, WEIGHTS)}
    write_bundle(tmp_path / "old.rdvar", about, kept)
    old = Detector.load(tmp_path / "old.rdvar")
    assert (old.predict(paths["twelve"]).scores != scores["twelve"]).any()
    assert "the full scale 65535" in caplog.text


def test_inspect_names_the_setting_and_follows_it(rdvar, folder):
    args = (
        "inspect",
        "--config",
        f"{REPOSITORY / 'configs' / 'smoke.py'}:tile",
        "--config.data.image_size=32",
    )
    args += (f"--config.data.root={folder / 'root'}",)
    done = rdvar.run(*args)
    assert done.returncode == 0, done.stderr
    for split in ("training", "test"):
        assert f"No 16-bit grey value of the {split} images reaches an eighth" in done.stdout
    assert done.stdout.count("train with data.full_scale=4095, or auto.") == 2
    for given in ("auto", "4095"):
        done = rdvar.run(*args, f"--config.data.full_scale={given}")
        assert done.returncode == 0 and "full scale" not in done.stdout
    done = rdvar.run(*args, "--config.data.full_scale=1023")
    assert "hold grey values above data.full_scale=1023, up to" in done.stdout
    assert "train with data.full_scale=4095, unless they are overexposed." in done.stdout


# --- max_pixels and the aspect of training ------------------------------------------------------


def test_more_pixels_than_max_pixels_in_every_command(rdvar, folder, tmp_path):
    limit = "--config.data.max_pixels=4095"
    sentence = "has 4096 pixels, more than data.max_pixels=4095; set data.max_pixels=4096"
    run = ("--workdir", folder / "run")
    score = ("predict", *run, "--input", folder / "twelve", "--output", tmp_path / "out")
    for args in (score, ("threshold", *run, "--input", folder / "twelve"), ("evaluate", *run)):
        assert_one_sentence(rdvar.run(*args, limit), sentence)
    assert_one_sentence(twelve_bits(rdvar, folder).train(tmp_path / "W", limit), sentence)
    detector = Detector.load(folder / "part.rdvar", max_pixels=4095)
    path = next((folder / "twelve").iterdir())
    with pytest.raises(DataError, match="data.max_pixels=4095"):
        detector.predict([path])
    assert Detector.load(folder / "part.rdvar").predict([path]).scores.shape == (1,)


def test_a_photograph_of_another_aspect_is_named_once(rdvar, folder, tmp_path, caplog):
    (tmp_path / "in").mkdir()
    for number, size in enumerate([(64, 64), (66, 64), (128, 64), (64, 100)]):
        Image.new("L", size, 99).save(tmp_path / "in" / f"{number}.png")
    _, said = predict(rdvar, folder, tmp_path / "in", tmp_path / "out", "--color_scale", "0,1")
    sentence = (
        "2 of the images have another aspect than the training images (width by height 1), so they "
        f"are squashed differently and may look defective, such as {tmp_path / 'in' / '2.png'} of "
        "128x64; crop them to that aspect, or train on images like them."
    )
    assert said.count(sentence) == 1
    caplog.set_level(logging.WARNING, "rdvar_jax")
    detector = Detector.load(folder / "part.rdvar")
    assert detector.manifest["image"]["aspects"] == [1.0, 1.0]
    for _ in range(2):
        detector.predict(sorted((tmp_path / "in").iterdir()))
    assert [record.getMessage() for record in caplog.records] == [sentence]
