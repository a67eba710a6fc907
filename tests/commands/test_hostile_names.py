"""Hostile file names through `rdvar predict` and its watch: refused, or harmless.

No result leaves the output, no photograph changes, every name comes back from CSV and JSON, and no
name passes for a line of its own on the terminal.
"""

import csv
import hashlib
import io
import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
from hostile_names import HOSTILE
from rdvar_process import assert_one_sentence

from rdvar_jax.commands.predicting import output_part

SCALE = ("--color_scale", "0.1,1")
LONGEST = 10  # seconds for one name


def put(source: Path, folder: Path, names: list[bytes]) -> Path:
    """Writes an image under each name."""
    for name in names:
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {
        os.fsdecode(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def paths_in(output: Path) -> list[str]:
    """The names in `scores.csv`, which must be those of `scores.jsonl`."""
    text = (output / "scores.csv").read_bytes().decode(errors="surrogateescape")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    lines = (output / "scores.jsonl").read_text("ascii").splitlines()
    assert [json.loads(line)["path"] for line in lines] == [row["path"] for row in rows]
    return [row["path"] for row in rows]


def assert_printable(said: str, number: int | None = None) -> None:
    lines = said.split("\n")
    assert lines.pop() == ""
    assert all(line.isprintable() for line in lines), said
    if number is not None:
        assert len(lines) == number, said


@pytest.fixture(scope="module")
def good(toy_root) -> Path:
    return toy_root / "tile" / "test" / "good" / "000.png"


def predict(rdvar, workdir, output, *args, **kwargs):
    return rdvar.run("predict", "--workdir", workdir, "--output", output, *args, **kwargs)


def test_all_at_once(rdvar, trained, good, tmp_path):
    photos, output = put(good, tmp_path / "in", [*HOSTILE.values()]), tmp_path / "out"
    before = contents(tmp_path)
    args = ("--input", photos, "--save_maps", "--noheat_maps", *SCALE, "--threshold", "0")
    done = predict(rdvar, trained, output, *args, "--save_masks")
    assert done.returncode == 0, done.stderr
    names = {os.fsdecode(name) for name in HOSTILE.values()}
    assert sorted(paths_in(output)) == sorted(names)
    assert_printable(done.stderr)
    after = contents(tmp_path)
    assert {name: after.pop(name) for name in before} == before
    assert all(name.startswith("out/") for name in after) and len(after) == 5 * len(names) + 4
    own = {"scores.csv", "scores.jsonl", "prediction.json", "index.html"}
    assert set(os.listdir(output)) == {"overlays", "masks", "maps", "thumbnails", *own}


def watch_until(rdvar, number: int, folder: Path, output: Path, *args, rows: str = "scores.jsonl"):
    """Watches in this process until a file has `number` lines, and ends the watch."""
    ended = threading.Event()

    def stop() -> None:
        end = time.monotonic() + 60
        while not ended.wait(0.05) and time.monotonic() < end:
            path = output / rows
            if path.exists() and path.read_bytes().count(b"\n") >= number:
                break
        if not ended.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    try:
        return rdvar.run(
            *("predict", "--watch", "--input", folder, "--output", output, "--interval", "0.05"),
            *("--noheat_maps", *SCALE, *args),
        )
    finally:
        ended.set()
        thread.join()


def test_a_watch_takes_all_and_goes_on(rdvar, trained, good, tmp_path):
    names = [*HOSTILE.values()]
    half = len(names) // 2
    photos, output = put(good, tmp_path / "in", names[:half]), tmp_path / "out"
    # Links that lead back: to the output, to a folder above, to each other.
    (photos / "out").symlink_to(output)
    (photos / "up").symlink_to(tmp_path)
    (photos / "twice").symlink_to(photos / "heat_maps")
    done = watch_until(rdvar, half, photos, output, "--workdir", trained)
    assert done.returncode == 0, done.stderr
    assert_printable(done.stderr, 2 + half)  # no verdicts; watching; one line for each image
    put(good, photos, names[half:])
    before = contents(photos)
    done = watch_until(rdvar, len(names), photos, output, "--workdir", trained)
    assert done.returncode == 0, done.stderr
    assert f"{half} images already scored" in done.stderr
    assert_printable(done.stderr, 2 + len(names) - half)
    assert sorted(paths_in(output)) == sorted(map(os.fsdecode, names))
    assert contents(photos) == before


@pytest.mark.nightly  # two minutes; above they are tested together
@pytest.mark.parametrize("name", HOSTILE)
def test_each_alone_and_quickly(rdvar, trained, good, tmp_path, name):
    photos, output = put(good, tmp_path / "in", [HOSTILE[name]]), tmp_path / "out"
    before, start = contents(photos), time.monotonic()
    path = os.fsdecode(HOSTILE[name])
    for given, named in ((photos, path), (photos / path, os.path.basename(path))):
        done = predict(rdvar, trained, output, "--input", given, *SCALE)
        assert done.returncode == 0, done.stderr
        assert paths_in(output) == [named]
        assert_printable(done.stderr, 1)
        shutil.rmtree(output)
    assert time.monotonic() - start < 2 * LONGEST
    assert contents(photos) == before


def test_a_pattern_cannot_lead_out_of_the_output(rdvar, trained, good, tmp_path):
    put(good, tmp_path, [b"a/photos/line/a.png", b"victim/b.png", b"victim/deep/c.png"])
    before = contents(tmp_path)
    for pattern in ("*/../../../victim/*.png", "**/../../../victim/**/*.png", "l?ne/../*/*.png"):
        args = ("--input", tmp_path / "a" / "photos" / pattern)
        done = predict(rdvar, trained, tmp_path / "a" / "out", *args, *SCALE)
        assert_one_sentence(done, "has .. after its first *", "write the pattern without it")
        assert contents(tmp_path) == before
    pattern = tmp_path / "a" / "photos" / ".." / ".." / "victim" / "*.png"
    done = predict(rdvar, trained, tmp_path / "a" / "out", "--input", pattern, *SCALE)
    assert done.returncode == 0, done.stderr
    assert paths_in(tmp_path / "a" / "out") == ["b.png"]


@pytest.mark.parametrize(
    ("given", "output"),
    [
        ("in", "in/out"),
        ("in/**/*.png", "in/out"),
        ("in/*/*/*.png", "in/out"),
        ("in/?ut/*/*.png", "in/out"),
        ("in", "link/out"),  # of in
        ("link", "in/out"),
    ],
)
def test_an_output_that_an_input_would_find_is_refused(
    rdvar, trained, good, tmp_path, given, output
):
    put(good, tmp_path / "in", [b"a/b/c.png", b"cut/b/c.png"])
    (tmp_path / "link").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "out").mkdir()
    done = predict(rdvar, trained, tmp_path / output, "--input", tmp_path / given, *SCALE)
    assert_one_sentence(done, "is inside the input", "heat maps for images", "outside of it")
    assert os.listdir(tmp_path / "in" / "out") == []


def test_an_output_beside_what_a_pattern_matches_is_taken(
    rdvar, trained, good, tmp_path, monkeypatch
):
    put(good, tmp_path, [b"a.png"])
    monkeypatch.chdir(tmp_path)
    done = predict(rdvar, trained, "out", "--input", "*.png", "--nooverlays", "--noheat_maps")
    assert done.returncode == 0, done.stderr


def test_images_in_the_output_are_refused(rdvar, trained, good, tmp_path):
    output = tmp_path / "out"
    put(good, output / "heat_maps", [b"a.png"])
    (output / "watch.json").write_text("{}")
    (tmp_path / "link").symlink_to(output)
    for flags, given, said in (
        (["--watch"], output / "heat_maps", "The input"),
        (["--watch"], tmp_path / "link" / "heat_maps", "The input"),
        ([], output / "heat_maps" / "a.png", "Images of the input"),
    ):
        done = predict(rdvar, trained, output, *flags, "--input", given, *SCALE)
        assert_one_sentence(done, said, "inside --output", "results could replace")


def test_links_in_the_output_change_no_photograph(rdvar, trained, good, tmp_path):
    """A watch goes on in a folder into which links to photographs were put."""
    photos = put(good, tmp_path / "in", [b"a.png", b"b.png", b"c.png"])
    output = tmp_path / "out"
    args = ("--workdir", trained, "--nooverlays", "--save_maps")
    assert watch_until(rdvar, 3, photos, output, *args).returncode == 0
    before = contents(photos)
    put(good, photos, [b"d.png", b"e.png"])
    (output / "maps" / "d.npy").symlink_to(photos / "a.png")
    os.link(photos / "b.png", output / "maps" / "e.npy")
    assert watch_until(rdvar, 5, photos, output, *args).returncode == 0
    assert before.items() <= contents(photos).items()
    # A folder of results that is one of photographs.
    shutil.rmtree(output / "maps")
    (output / "maps").symlink_to(photos)
    put(good, photos, [b"f.png"])
    done = watch_until(rdvar, 2, photos, output, *args, rows="skipped.csv")
    assert "leads out of the output" in done.stderr
    assert sorted(os.listdir(photos)) == [f"{letter}.png" for letter in "abcdef"]
    assert before.items() <= contents(photos).items()


def test_where_case_does_not_count_twins_are_refused(rdvar, trained, good, tmp_path, monkeypatch):
    """Such file systems are not at hand: what tells them is replaced."""
    monkeypatch.setattr(output_part, "ignores_case", lambda folder: True)
    for twins in ([b"TWIN.PNG", b"twin.png"], [HOSTILE["composed accent"], b"E\xcc\x81.png"]):
        photos = put(good, tmp_path / twins[0].hex(), twins)
        done = predict(rdvar, trained, tmp_path / "out", "--input", photos, *SCALE)
        assert_one_sentence(done, "would both be written as", "rename it")
        assert not (tmp_path / "out").exists()


def test_a_name_too_long_for_its_results_is_refused(rdvar, trained, good, tmp_path):
    long = "x" * 251
    put(good, tmp_path / "in", [f"{long}.png".encode(), f"{long}.jpg".encode()])  # suffixes kept
    done = predict(rdvar, trained, tmp_path / "out", "--input", tmp_path / "in", *SCALE)
    assert_one_sentence(done, "has a name too long for its results; rename it")
