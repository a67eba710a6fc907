"""`--ignore`: pixels that never count, through all commands."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from rdvar_process import assert_one_sentence
from resealed import unsealed
from run_files import read_lines, read_scores

from rdvar_jax import Detector, Run
from rdvar_jax.data.pixels.ignore_mask import IgnoreMask
from rdvar_jax.errors import ConfigError, UserError
from rdvar_jax.runs.workdir import Workdir, load_config

TARGET = ("--target=0.4", "--confidence=0.75")  # three good images are enough for it


@pytest.fixture
def half(toy_root, tmp_path):
    """A picture as large as the images that leaves their lower half."""
    with Image.open(next((toy_root / "tile" / "test" / "good").glob("*.png"))) as image:
        width, height = image.size
    pixels = np.zeros((height, width), np.uint8)
    pixels[: height // 2] = 255
    path = tmp_path / "half.png"
    Image.fromarray(pixels).save(path)
    return path


def picture(path, size_wh, value):
    Image.new("L", size_wh, value).save(path)
    return path


@pytest.mark.parametrize(
    "command", [pytest.param(name, marks=pytest.mark.slow) for name in ("evaluate", "predict")]
)
def test_a_picture_that_cannot_be_used_is_one_sentence(rdvar, finished, tmp_path, command, half):
    more = {
        "evaluate": (),
        "predict": ("--input", rdvar.root / "tile" / "test", "--output", tmp_path / "out"),
    }[command]
    before = {path.name: path.read_bytes() for path in finished.workdir.glob("*.json")}
    text = tmp_path / "text.png"
    text.write_text("no picture")
    with Image.open(half) as image:
        white = picture(tmp_path / "white.png", image.size, 255)
    wide = picture(tmp_path / "wide.png", (200, 50), 0)
    for path, words in (
        (tmp_path / "none.png", "is not a file; give a picture"),
        (text, "text.png cannot be recognised"),
        (white, "leaves no pixel that counts"),
        (wide, "wide.png has 200x50 pixels, width by height 4, but the training images have"),
    ):
        done = rdvar.run(command, "--workdir", finished.workdir, *more, "--ignore", path)
        assert_one_sentence(done, words)
    assert {path.name: path.read_bytes() for path in finished.workdir.glob("*.json")} == before
    assert not (finished.workdir / "ignore.png").exists()


@pytest.mark.slow
def test_each_bad_picture_is_refused_before_anything_is_scored(finished, tmp_path, half):
    text = tmp_path / "text.png"
    text.write_text("no picture")
    with Image.open(half) as image:
        white = picture(tmp_path / "white.png", image.size, 255)
    wide = picture(tmp_path / "wide.png", (200, 50), 0)
    config, run = load_config(Workdir(finished.workdir)), Run.open(finished.workdir)
    for path, words in (
        (text, "text.png cannot be recognised"),
        (white, "white.png leaves no pixel that counts"),
        (wide, "wide.png has 200x50 pixels, width by height 4, but the training images have"),
    ):
        config.score.ignore = str(path)
        with pytest.raises(UserError, match=words):
            Run(type(run.recipe)(config, run.recipe.parallel), run.workdir).load_scorer()


def test_a_picture_leaves_pixels_of_the_file_but_none_of_the_map(finished, tmp_path):
    config = load_config(Workdir(finished.workdir))
    pixels = np.full((64, 64), 255, np.uint8)
    pixels[::2, ::2] = 0  # a map of 32 x 32 has one of them in each of its pixels
    Image.fromarray(pixels).save(tmp_path / "grid.png")
    config.score.ignore = str(tmp_path / "grid.png")
    run = Run.open(finished.workdir)
    run = Run(type(run.recipe)(config, run.recipe.parallel), run.workdir)
    with pytest.raises(ConfigError, match=r"grid\.png leaves no pixel that counts"):
        run.load_scorer()


@pytest.mark.slow
def test_every_command_leaves_the_pixels_out_and_the_run_keeps_the_picture(
    rdvar, finished, copy_of, tmp_path, half
):
    workdir = copy_of(finished.workdir)
    before = read_scores(workdir / "scores.csv")
    run = ("--workdir", workdir)
    tile = rdvar.root / "tile"
    good, photos = tile / "test" / "good", tile / "test"

    # Scores of other pixels need another threshold; nothing is kept until there is one.
    assert_one_sentence(rdvar.run("evaluate", *run, "--ignore", half), "threshold.json", "ignore")
    assert not (workdir / "ignore.png").exists()
    done = rdvar.run("threshold", *run, "--input", good, *TARGET, "--ignore", half)
    assert done.returncode == 0, done.stderr
    half.unlink()  # the run has its copy
    stored = unsealed(workdir / "threshold.json")
    kept = IgnoreMask.read(workdir / "ignore.png")
    assert stored["score"]["score.ignore"] == kept.sha256 and kept.pixels.mean() == 0.5
    assert json.loads((workdir / "config.json").read_text())["score"]["ignore"] == ""

    assert rdvar.run("evaluate", *run).returncode == 0
    scores = read_scores(workdir / "scores.csv")
    ignored = Run.open(workdir).recipe.ignored
    assert ignored is not None and ignored[:16].all() and not ignored[16:].any()
    assert all(scores[name] <= before[name] for name in before) and scores != before
    evaluation = json.loads((workdir / "evaluation.json").read_text())
    assert evaluation["settings"]["score.ignore"] == kept.sha256
    assert rdvar.run("report", *run).returncode == 0
    assert json.loads((workdir / "results.json").read_text())["thresholds"]["stored"]

    output = tmp_path / "out"
    options = ("--input", photos, "--output", output, "--save_masks", "--save_maps")
    assert rdvar.run("predict", *run, *options).returncode == 0
    assert unsealed(output / "prediction.json")["score"]["score.ignore"] == kept.sha256
    predicted = {f"test/{name}": s for name, s in read_scores(output / "scores.csv").items()}
    assert predicted == scores
    middle = kept.height // 2
    regions = 0
    for line in read_lines(output / "scores.jsonl"):
        regions += line["num_regions"]
        assert all(region["box"][1] >= middle for region in line["regions"])
        stem = line["path"].removesuffix(".png")
        assert not np.load(output / "maps" / f"{stem}.npy")[:16].any()
        with Image.open(output / "masks" / f"{stem}.png") as mask:
            assert not np.asarray(mask)[:middle].any()
        with (
            Image.open(output / "overlays" / f"{stem}.png") as drawn,
            Image.open(photos / line["path"]) as image,
        ):
            np.testing.assert_array_equal(
                # The caption's strip can be wider, and outlines are drawn around regions.
                np.asarray(drawn)[: middle - 3, : image.width],
                np.asarray(image.convert("RGB"))[: middle - 3],
            )
    assert regions > 0

    bundle = tmp_path / "part.rdvar"
    assert rdvar.run("export", *run, "--output", bundle).returncode == 0
    detector = Detector.load(bundle)
    found = detector.predict([tile / name for name in scores])
    np.testing.assert_allclose(found.scores, list(scores.values()), rtol=1e-5)
    assert detector.ignore == kept == Run.open(workdir).detector().ignore
    assert detector.manifest["map"]["ignore_sha256"] == kept.sha256
    model = tmp_path / "part.onnx"
    assert rdvar.run("export", *run, "--output", model, "--format", "onnx").returncode == 0
    of_model = Detector.load(model)
    np.testing.assert_allclose(
        of_model.predict([tile / name for name in scores]).scores, found.scores, rtol=1e-5
    )
    assert of_model.ignore == kept

    # Without it, the threshold is of other scores again; and a copy that was repainted is another.
    none = ("--ignore", "none")
    assert_one_sentence(rdvar.run("evaluate", *run, *none), "threshold.json", kept.sha256)
    repainted = tmp_path / "repainted"
    shutil.copytree(workdir, repainted)
    picture(repainted / "ignore.png", (kept.width, kept.height), 0)
    assert_one_sentence(rdvar.evaluate(repainted), "threshold.json", "rdvar threshold")
    assert rdvar.run("threshold", *run, "--input", good, *TARGET, *none).returncode == 0
    assert not (workdir / "ignore.png").exists()
    assert rdvar.evaluate(workdir).returncode == 0
    assert read_scores(workdir / "scores.csv") == before


@pytest.mark.slow
@pytest.mark.parametrize("geometry", ["squash", "tile"])
def test_a_run_can_be_trained_with_it(rdvar, tmp_path, half, geometry):
    workdir = tmp_path / "run"
    settings = (
        *("--config.train.epochs=1", "--config.train.evaluate_every_epochs=1"),
        f"--config.data.geometry={geometry}",
    )
    wide = picture(tmp_path / "wide.png", (200, 50), 0)
    done = rdvar.train(workdir, *settings, f"--config.score.ignore={wide}")
    assert_one_sentence(done, "wide.png has 200x50 pixels")
    assert not workdir.exists() or not (workdir / "config.json").exists()
    done = rdvar.train(workdir, *settings, f"--config.score.ignore={half}")
    assert done.returncode == 0, done.stderr
    kept = IgnoreMask.read(workdir / "ignore.png")
    assert kept == IgnoreMask.read(half)
    last = read_lines(workdir / "metrics.jsonl")[-1]
    assert rdvar.evaluate(workdir).returncode == 0
    results = json.loads((workdir / "results.json").read_text())
    for name in ("image_auroc", "pixel_auroc"):
        assert last[name] == pytest.approx(results["metrics"][name], abs=1e-4)
    # Without the setting the same command keeps the picture.
    half.unlink()
    assert rdvar.train(workdir, *settings).returncode == 0
    assert IgnoreMask.read(workdir / "ignore.png") == kept
    with_all = rdvar.evaluate(workdir, "--ignore", "none")
    assert with_all.returncode == 0 and not (workdir / "ignore.png").exists()
    other = json.loads((workdir / "results.json").read_text())["metrics"]
    assert other["pixel_auroc"] != results["metrics"]["pixel_auroc"]
