"""data.on_error from the command line: what is left out is listed, and other images are noticed."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from rdvar_process import assert_one_sentence


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_files_and_folders_without_permission(rdvar, toy_root, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(toy_root, root)
    places = [root / "tile/train/good/003.png", root / "tile/test/spot"]
    config = rdvar.train_args("")[1:3]
    for place, words in zip(
        places, ("cannot be read (permission", "cannot be listed"), strict=True
    ):
        mode = place.stat().st_mode
        place.chmod(0)
        # In a process, for root's powers.
        done = rdvar.process("inspect", *config, f"--config.data.root={root}", root_powers=False)
        place.chmod(mode)
        assert done.returncode == 2
        assert f"{place} {words}" in done.stdout and "grant read access to it" in done.stdout


@pytest.mark.slow
def test_what_is_left_out_is_listed(rdvar, toy_root, tmp_path):
    root, workdir = tmp_path / "data", tmp_path / "run"
    shutil.copytree(toy_root, root)
    for folder in ("train/good", "test/good"):  # one in twenty may be left out
        for index in range(17):
            source = root / "tile" / folder / f"00{index % 3}.png"
            shutil.copy(source, source.with_name(f"more{index:02}.png"))
    bad = {name: root / "tile" / name for name in ("train/good/003.png", "test/good/001.png")}
    for path in bad.values():
        path.write_bytes(b"")
    settings = (f"--config.data.root={root}", "--config.train.epochs=1")
    assert_one_sentence(rdvar.train(workdir, *settings), "003.png is empty")
    done = rdvar.train(workdir, *settings, "--config.data.on_error=skip")
    assert done.returncode == 0, done.stderr
    assert "tile: 26 images" in done.stderr
    header, row = rows(workdir / "skipped.csv")
    assert header == ["path", "reason"]
    assert row[0] == "train/good/003.png" and "is empty (0 bytes)" in row[1]

    done = rdvar.run("threshold", "--workdir", workdir, "--method=quantile")
    assert done.returncode == 0, done.stderr
    assert "left out 1 of 27 train images" in done.stderr
    assert json.loads((workdir / "threshold.json").read_text())["num_images"] == 26
    (workdir / "threshold.json").unlink()

    done = rdvar.evaluate(workdir)
    assert done.returncode == 0, done.stderr
    assert [row[0] for row in rows(workdir / "skipped_test.csv")] == ["path", "test/good/001.png"]
    results = json.loads((workdir / "results.json").read_text())
    assert (results["skipped"], results["num_good"]) == (1, 19)
    assert "1 of 24 test images left out" in done.stdout
    assert_one_sentence(rdvar.evaluate(workdir, "--config.data.on_error=fail"), "001.png is empty")

    # More images are other images, whichever way they came.
    good = root / "tile/train/good/002.png"
    bad["train/good/003.png"].write_bytes(good.read_bytes())
    more = (*settings, "--config.train.epochs=2", "--config.data.on_error=skip")
    assert_one_sentence(rdvar.train(workdir, *more), "trained on different images")
    assert len(rows(workdir / "skipped.csv")) == 2
    bad["train/good/003.png"].unlink()
    done = rdvar.train(workdir, *more)
    assert done.returncode == 0, done.stderr
    assert not (workdir / "skipped.csv").exists()
