"""Scores, heat maps and raw maps of any images, from the command line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rdvar_process import assert_one_sentence
from resealed import seal_again
from run_files import read_lines, read_rows, read_scores

from rdvar_jax.report.caption import Caption
from rdvar_jax.report.prediction import save_heat_map
from rdvar_jax.report.scale import color_scale


@pytest.fixture(scope="module")
def predicted(rdvar, evaluated, toy_root, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("predicted") / "new" / "out"
    done = predict(rdvar, evaluated, output, "--input", toy_root / "tile" / "test", "--save_maps")
    assert done.returncode == 0, done.stderr
    words = "7 images scored, without verdicts (no threshold). Open"
    assert done.stdout == f"{words} {output / 'index.html'}\n"
    assert "no verdicts" in done.stderr and "rdvar threshold makes it" in done.stderr
    return output


def predict(rdvar, workdir, output, *args):
    return rdvar.run("predict", "--workdir", workdir, "--output", output, *args)


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_scores_are_those_of_evaluate_bit_for_bit(evaluated, predicted):
    expected = read_scores(evaluated / "scores.csv")
    assert len(expected) == 7
    scores = read_scores(predicted / "scores.csv")
    assert {f"test/{name}": score for name, score in scores.items()} == expected


def test_maps_are_raw_and_their_maximum_is_the_score(predicted):
    scores = read_scores(predicted / "scores.csv")
    assert files(predicted / "maps") == [f"{name[:-4]}.npy" for name in sorted(scores)]
    for name, score in scores.items():
        raw = np.load(predicted / "maps" / f"{name[:-4]}.npy")
        assert raw.dtype == np.float32 and raw.shape == (32, 32)
        assert raw.max() == score


def heat_map(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), np.int32)


def redraw(predicted, toy_root, name, scale, path) -> np.ndarray:
    with Image.open(toy_root / "tile" / "test" / name) as image:
        pixels = np.array(image.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR))
    raw = np.load(predicted / "maps" / f"{name[:-4]}.npy")
    save_heat_map(path, pixels, raw, name, Caption(raw.max()), scale)
    return heat_map(path)


def test_heat_maps_have_the_scale_of_the_evaluation(evaluated, predicted, toy_root, tmp_path):
    scale = json.loads((evaluated / "results.json").read_text())["color_scale"]
    for name in read_scores(predicted / "scores.csv"):
        expected = redraw(predicted, toy_root, name, scale, tmp_path / "again.png")
        assert np.array_equal(heat_map(predicted / "heat_maps" / name), expected)


def test_without_an_evaluation_of_this_state_the_scale_is_that_of_the_images(
    rdvar, trained, evaluated, copy_of, predicted, toy_root, tmp_path
):
    workdir = copy_of(trained)
    shutil.copy(evaluated / "results.json", workdir)
    stale = {"checkpoint_sha256": "0" * 64, "color_scale": [0.0, 1.0]}  # of an earlier state
    seal_again(workdir / "results.json", **stale)
    done = predict(rdvar, workdir, tmp_path / "out", "--input", toy_root / "tile" / "test" / "spot")
    assert done.returncode == 0, done.stderr
    assert "has no colour scale of this state" in done.stderr
    pictures = [f"{kind}/00{i}.png" for kind in ("heat_maps", "overlays") for i in range(4)]
    small = [f"thumbnails/{kind}/00{i}.jpg" for kind in ("heat", "plain") for i in range(4)]
    tables = ["prediction.json", "scores.csv", "scores.jsonl"]
    assert files(tmp_path / "out") == sorted([*pictures, *small, *tables, "index.html"])
    maps = np.stack([np.load(predicted / "maps" / "spot" / f"00{i}.npy") for i in range(4)])
    tiles = slice(28, 284)  # the rows of the tiles
    for i in range(4):
        expected = redraw(
            predicted, toy_root, f"spot/00{i}.png", color_scale(maps), tmp_path / "x.png"
        )
        found = heat_map(tmp_path / "out" / "heat_maps" / f"00{i}.png")
        # Counted percentiles are true to 0.05 % of the value.
        assert np.abs(found - expected)[tiles].max() <= 4


def test_any_files_and_folders_in_any_batches(rdvar, evaluated, toy_root, tmp_path):
    """The same pixels in other formats, names and batches: the same scores, to rounding."""
    good = toy_root / "tile" / "test" / "good"
    deep = tmp_path / "in" / "deep folder" / "größe"
    deep.mkdir(parents=True)
    with Image.open(good / "000.png") as image:
        image.convert("RGBA").save(deep / "mit Leerzeichen, Ω.png")
    with Image.open(good / "001.png") as image:
        image.save(deep.parent / "b.tiff")
        image.save(deep.parent / "b.png")
    Image.fromarray(np.arange(37 * 90, dtype=np.uint16).reshape(37, 90)).save(deep / "long.png")
    output = tmp_path / "out"
    output.mkdir()
    named = [toy_root / "tile" / "test" / "spot" / f"00{i}.png" for i in range(3)]
    done = predict(
        rdvar,
        evaluated,
        output,
        "--input",
        named[2],
        *named[:2],  # as a shell expands *.png
        "--config.score.batch_size",
        "3",
        "--input",
        tmp_path / "in",
        "--noheat_maps",
        "--nooverlays",
    )
    assert done.returncode == 0, done.stderr
    scores, expected = read_scores(output / "scores.csv"), read_scores(evaluated / "scores.csv")
    same = {
        "002.png": "test/spot/002.png",
        "000.png": "test/spot/000.png",
        "001.png": "test/spot/001.png",
        "deep folder/b.png": "test/good/001.png",
        "deep folder/b.tiff": "test/good/001.png",
        "deep folder/größe/mit Leerzeichen, Ω.png": "test/good/000.png",
    }
    assert set(scores) == {*same, "deep folder/größe/long.png"}
    for name, original in same.items():
        assert scores[name] == pytest.approx(expected[original], rel=1e-5)
    assert np.isfinite(scores["deep folder/größe/long.png"])
    assert files(output) == ["prediction.json", "scores.csv", "scores.jsonl"]


def test_an_unreadable_image_leaves_nothing_behind(rdvar, trained, evaluated, toy_root, tmp_path):
    folder = Path(shutil.copytree(toy_root / "tile" / "test", tmp_path / "in"))
    last = folder / "spot" / "003.png"
    last.write_bytes(last.read_bytes()[:200])  # the second batch
    output = tmp_path / "out"
    # Met before anything is written, in the pass for the scale, and after the first batch was.
    for workdir, make in ((trained, False), (evaluated, False), (evaluated, True)):
        if make:
            output.mkdir()
        done = predict(rdvar, workdir, output, "--input", folder, "--save_maps")
        assert_one_sentence(done, str(last), "damaged")
        assert output.exists() == make
        assert not make or list(output.iterdir()) == []


@pytest.fixture
def with_threshold(finished) -> tuple[Path, float]:
    """A run whose threshold is the highest score of the good test images."""
    stored = json.loads((finished.workdir / "threshold.json").read_text())
    return finished.workdir, stored["threshold"]


def test_verdicts_regions_and_masks_are_of_the_image_s_own_pixels(
    rdvar, with_threshold, toy_root, tmp_path
):
    workdir, threshold = with_threshold
    folder = tmp_path / "in"
    shutil.copytree(toy_root / "tile" / "test", folder)
    wide = folder / "spot" / "wide.png"  # the same, four times as wide: the same score and regions
    with Image.open(folder / "spot" / "000.png") as image:
        image.resize((256, 64), Image.Resampling.NEAREST).save(wide)
    output = tmp_path / "out"
    pixel = threshold / 2
    args = ("--input", folder, "--save_masks", "--pixel_threshold", pixel, "--noheat_maps")
    done = predict(rdvar, workdir, output, *args, "--fail_on_defect")
    found, lines = read_rows(output / "scores.csv"), read_lines(output / "scores.jsonl")
    defective = [row for row in found if np.float32(row["score"]) > np.float32(threshold)]
    assert 0 < len(defective) < len(found) == 8
    assert done.returncode == 1, done.stderr
    words = f"8 images: {len(defective)} defective, {8 - len(defective)} good. Open "
    assert done.stdout == f"{words}{output / 'index.html'}\n"
    for row, line in zip(found, lines, strict=True):
        assert list(row) == list(line)
        assert float(row["threshold"]) == pytest.approx(threshold, rel=1e-6)
        is_defective = np.float32(row["score"]) > np.float32(threshold)
        assert row["verdict"] == line["verdict"] == ("defective" if is_defective else "good")
        assert json.loads(row["regions"]) == line["regions"]
        assert len(line["regions"]) == line["num_regions"] == int(row["num_regions"])
        with (
            Image.open(folder / row["path"]) as image,
            Image.open(output / "masks" / row["path"]) as mask,
            Image.open(output / "overlays" / row["path"]) as overlay,
        ):
            assert mask.size == image.size
            assert overlay.width >= image.width and overlay.height > image.height  # with words
            above = np.asarray(mask) == 255
        assert sum(region["area"] for region in line["regions"]) == above.sum()
        boxes = np.zeros_like(above)
        for x0, y0, x1, y1 in (region["box"] for region in line["regions"]):
            boxes[y0:y1, x0:x1] = True
        assert not (above & ~boxes).any()
        if is_defective:
            assert line["regions"][0]["area"] > 0
    at = {line["path"]: line["regions"] for line in lines}
    narrow, stretched = at["spot/000.png"][0], at["spot/wide.png"][0]
    assert stretched["box"][0] == pytest.approx(4 * narrow["box"][0], abs=4)
    assert stretched["box"][2] == pytest.approx(4 * narrow["box"][2], abs=4)
    assert stretched["box"][1::2] == pytest.approx(narrow["box"][1::2], abs=1)


def test_a_threshold_that_is_given_is_the_one_and_scores_stay_raw(
    rdvar, with_threshold, predicted, toy_root, tmp_path
):
    workdir, _ = with_threshold
    scores = sorted(read_scores(predicted / "scores.csv").values())
    between = (float(scores[-2]) + float(scores[-1])) / 2
    args = ("--input", toy_root / "tile" / "test", "--noheat_maps", "--nooverlays")
    done = predict(rdvar, workdir, tmp_path / "out", *args, "--threshold", between)
    assert done.returncode == 0, done.stderr
    assert "7 images: 1 defective, 6 good" in done.stdout
    assert read_scores(tmp_path / "out" / "scores.csv") == read_scores(predicted / "scores.csv")
    # Nothing above it: exit code 0 even if a defect would be 1.
    high = ("--threshold", float(scores[-1]), "--fail_on_defect")
    done = predict(rdvar, workdir, tmp_path / "high", *args, *high)
    assert (done.returncode, "7 images: 0 defective, 7 good" in done.stdout) == (0, True), (
        done.stderr
    )


def test_what_needs_a_threshold_is_refused_without_one(rdvar, evaluated, toy_root, tmp_path):
    for flag in ("--fail_on_defect", "--save_masks"):
        done = predict(rdvar, evaluated, tmp_path / "out", "--input", toy_root / "tile", flag)
        assert_one_sentence(done, f"{flag} needs a threshold")
        assert not (tmp_path / "out").exists()


def test_unreadable_images_are_skipped_and_listed_if_asked(rdvar, trained, toy_root, tmp_path):
    folder = Path(shutil.copytree(toy_root / "tile" / "test", tmp_path / "in"))
    bad = [folder / "good" / "001.png", folder / "spot" / "003.png"]
    bad[0].write_text("no image")
    bad[1].write_bytes(bad[1].read_bytes()[:200])
    output = tmp_path / "out"
    args = ("--input", folder / "*" / "*.png", "--on_error", "skip", "--nooverlays")
    done = predict(rdvar, trained, output, *args)  # read twice, for the colour scale
    assert done.returncode == 0, done.stderr
    assert "5 images scored, without verdicts (no threshold), 2 skipped (could not" in done.stdout
    assert [row["path"] for row in read_rows(output / "scores.csv")] == [
        *("good/000.png", "good/002.png", "spot/000.png", "spot/001.png", "spot/002.png")
    ]
    skipped = read_rows(output / "skipped.csv")
    assert [row["path"] for row in skipped] == ["good/001.png", "spot/003.png"]
    assert "cannot be recognised" in skipped[0]["reason"] and "damaged" in skipped[1]["reason"]

    args = ("--input", *bad, "--on_error", "skip")
    done = predict(rdvar, trained, tmp_path / "none", *args)
    assert_one_sentence(done, "No image can be read", str(bad[0]))
    assert not (tmp_path / "none").exists()
