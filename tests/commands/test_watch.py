"""`rdvar predict --watch` as a process of its own, with files that come, are bad and are mended."""

import csv
import shutil
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rdvar_process import assert_one_sentence
from run_files import read_lines, read_scores

SCALE = ("--color_scale", "0.1,1")


@contextmanager
def watching(rdvar, workdir, folder, output, *args):
    """A process, to be signalled, once it looks into the folder; killed at the end."""
    process = rdvar.start(
        *("predict", "--watch", "--workdir", workdir, "--input", folder, "--output", output),
        *("--interval", "0.1", "--config.score.batch_size=2", *SCALE, *args),
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("watching"):
                break
        else:
            pytest.fail(f"it ended with {process.wait()}")
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(rows_of, number: int, process) -> list[dict[str, str]]:
    end = time.monotonic() + 60
    while len(rows := rows_of()) < number:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end, rows
        time.sleep(0.05)
    return rows


def read(path: Path) -> list[dict[str, str]]:
    """Whole rows only: the file is being written."""
    if not path.exists():
        return []
    text = path.read_text()
    return list(csv.DictReader(text[: text.rfind("\n") + 1].splitlines()))


def test_images_that_come_one_after_the_other_and_a_restart(rdvar, trained, toy_root, tmp_path):
    source = toy_root / "tile" / "test"
    folder, output = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    shutil.copy(source / "good" / "000.png", folder / "early.png")

    def scores() -> list[dict[str, str]]:
        return read(output / "scores.csv")

    options = ("--noheat_maps", "--threshold", "0", "--fail_on_defect")
    with watching(rdvar, trained, folder, output, *options) as process:
        wait_for(scores, 1, process)
        (folder / "bad.png").write_text("no image")
        wait_for(lambda: read(output / "skipped.csv"), 1, process)
        shutil.copy(source / "spot" / "000.png", folder / "bad.png")  # mended
        shutil.copy(source / "spot" / "001.png", folder / "part.png")
        wait_for(scores, 3, process)
        Image.new("L", (128, 64)).save(folder / "part.jpg")  # it keeps its suffix
        wait_for(scores, 4, process)
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 1, stderr  # --fail_on_defect, and every score is over 0
    assert stderr.count("have another aspect than the training images (width by height 1)") == 1
    words = "4 images: 4 defective, 0 good, 1 skipped (could not be read). Open"
    assert stdout == f"{words} {output / 'scores.csv'}\n"
    rows = scores()
    assert {row["path"] for row in rows} >= {"early.png", "bad.png"}
    assert {row["verdict"] for row in rows} == {"defective"}
    overlays = {path.name for path in (output / "overlays").iterdir()}
    assert overlays == {"early.png", "bad.png", "part.png", "part.jpg.png"}
    skipped = read(output / "skipped.csv")
    assert skipped[0]["path"] == "bad.png" and "cannot be recognised" in skipped[0]["reason"]
    assert len(skipped) == 1

    # Killed while it wrote, and started again: what has a row is not scored again.
    with (output / "scores.csv").open("a") as file:
        file.write("torn.png,0.")
    shutil.copy(source / "good" / "001.png", folder / "torn.png")
    with watching(rdvar, trained, folder, output, *options[:3]) as process:
        wait_for(scores, 5, process)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    assert stdout.startswith("1 image: 1 defective, 0 good. Open ")
    lines = read_lines(output / "scores.jsonl")
    assert scores()[:4] == rows
    assert [row["path"] for row in scores()] == [line["path"] for line in lines]
    assert len({line["path"] for line in lines}) == 5

    # The scores are those of one call over the folder.
    done = rdvar.run(
        *("predict", "--workdir", trained, "--input", folder, "--output", tmp_path / "once"),
        *("--noheat_maps", "--nooverlays"),
    )
    assert done.returncode == 0, done.stderr
    once = read_scores(tmp_path / "once" / "scores.csv")
    for row in scores():
        if row["path"] in once:
            assert np.float32(row["score"]) == pytest.approx(once[row["path"]], rel=1e-5)

    # Other settings give other scores, which must not stand in one file.
    done = rdvar.run(
        *("predict", "--watch", "--workdir", trained, "--input", folder, "--output", output),
        *("--config.score.sigma=2", *SCALE),
    )
    assert_one_sentence(done, "another state or other settings", "another --output")


def test_what_watching_needs_is_said(rdvar, trained, tmp_path):
    (tmp_path / "in").mkdir()
    args = ("predict", "--watch", "--workdir", trained, "--output", tmp_path / "out")
    done = rdvar.run(*args, "--input", tmp_path / "in")
    assert_one_sentence(done, "colour scale", "rdvar evaluate", "--color_scale LOW,HIGH")
    assert not (tmp_path / "out").exists()
    done = rdvar.run(*args, "--input", tmp_path / "nowhere")
    assert_one_sentence(done, "--watch needs a folder", "nowhere")
    done = rdvar.run(*args, "--input", tmp_path / "in", "--color_scale", "2,1")
    assert_one_sentence(done, "--color_scale 2,1 must be two raw map values")
