"""What rdvar inspect says of a set, and its contact sheet."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdvar_jax.cli.main import main
from rdvar_jax.commands.inspect import Inspection, inspect_set
from rdvar_jax.errors import UserError
from rdvar_jax.models.build import feature_shapes
from rdvar_jax.report.contact_sheet import COLUMNS
from rdvar_jax.runs.config import default_config
from rdvar_jax.weights.architectures import ARCHITECTURES

REPOSITORY = Path(__file__).resolve().parents[2]


def inspect(root: Path, category: str = "tile", output: Path | None = None, **data) -> Inspection:
    config = default_config()
    config.data.update(root=str(root), category=category, **{"image_size": 64, **data})
    return inspect_set(config, output)


@pytest.fixture
def data(toy_root, tmp_path) -> Path:
    """A copy of the toy data that a test may change."""
    for path in toy_root.rglob("*.png"):
        copy = tmp_path / "data" / path.relative_to(toy_root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return tmp_path / "data"


def test_counts_sizes_masks_and_memory(toy_root):
    found = inspect(toy_root, validation=0.2)
    assert found.problems == []
    assert [line.split() for line in found.text.splitlines()[:8]] == [
        ["tile", "in", str(toy_root)],
        "layout mvtec (detected: it has train/good)".split(),
        [],
        ["split", "kind", "images", "masks"],
        ["train", "good", "8"],
        ["validation", "good", "2"],
        ["test", "good", "3"],
        ["test", "spot", "4", "4"],
    ]
    assert "sizes       64x64 17\npixels      RGB 17\nunreadable  0 of 17 images" in found.text
    assert "4 of 4 defective images have one; 0 cannot be used, 0 are empty at 64x64" in found.text
    # 64 x 64 x 3 bytes an image; wide_resnet50_2 has 1,835,008 values an image at 256 x 256.
    assert "train 9.83e-05 GB" in found.text
    assert f"training images {8 * 1835008 * 4 / 16 / 1e9:.3g} GB (wide_resnet50_2" in found.text
    assert found.text.endswith("no problems")


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_memory_of_features_is_that_of_the_networks(arch):
    shapes = feature_shapes(arch, 24, (96, 160))
    assert ARCHITECTURES[arch].num_features(24, 96 * 160) == sum(s.size for s in shapes)


def test_memory_of_tiles(toy_root):
    """Images of 64 x 64 in nine tiles of 32 x 32, or too small for tiles of 96 x 96."""
    found = inspect(toy_root, geometry="tile", image_size=32)
    assert found.problems == []
    assert f"images of 32x32: train {10 * 9 * 32 * 32 * 3 / 1e9:.3g} GB" in found.text
    found = inspect(toy_root, geometry="tile", image_size=96)
    assert len(found.problems) == 1
    assert "000.png has 64x64 pixels, fewer than a tile of 96x96" in found.problems[0]


def test_an_unknown_teacher_is_one_sentence(toy_root):
    config = default_config()
    config.data.update(root=str(toy_root), category="tile")
    config.teacher.arch = "resnet9"
    with pytest.raises(
        UserError, match=f"teacher.arch=resnet9 is not one of {', '.join(ARCHITECTURES)}"
    ):
        inspect_set(config)


def test_all_problems_are_said_not_only_the_first(data):
    tile = data / "tile"
    (tile / "train/good/003.png").write_bytes(b"")
    (tile / "train/good/005.png").write_text("text")
    (tile / "test/good/001.png").write_bytes((tile / "test/good/001.png").read_bytes()[:100])
    (tile / "ground_truth/spot/000_mask.png").unlink()
    (tile / "ground_truth/spot/009_mask.png").write_bytes(b"")
    Image.new("L", (7, 64)).save(tile / "ground_truth/spot/002_mask.png")
    Image.new("RGB", (32, 64)).save(tile / "train/good/007.png")
    problems = inspect(data).problems
    for parts in (
        ("train/good/003.png", "is empty"),
        ("train/good/005.png", "cannot be recognised"),
        ("test/good/001.png", "damaged"),
        ("spot/000.png has no mask",),
        ("009_mask.png matches no test image",),
        ("002_mask.png has 7x64 pixels",),
        ("different pixel sizes: 64x64 (count 7,", "32x64 (count 1, such as", "007.png"),
    ):
        assert sum(all(part in one for part in parts) for one in problems) == 1, parts
    assert len(problems) == 7
    # What is allowed is no problem; what cannot be left out stays one.
    problems = inspect(data, on_error="skip", allow_mixed_sizes=True).problems
    assert len(problems) == 4
    assert any("2 of 10 train images cannot be used, more than the 5%" in one for one in problems)


def test_copies_are_found_in_whatever_file_they_are(data):
    train = data / "tile/train/good"
    with Image.open(train / "002.png") as image:
        image.save(data / "tile/test/good/copy.bmp")
        image.save(train / "again.png", compress_level=0)
        image.resize((32, 32)).resize((64, 64)).save(train / "other.png")
    text = inspect(data).text
    names = "train/good/002.png, train/good/again.png, test/good/copy.bmp"
    assert f"the same pixels in train and test: {names}" in text
    assert text.count("the same pixels") == 1
    (data / "tile/test/good/copy.bmp").unlink()
    names = "train/good/002.png, train/good/again.png"
    assert f"the same pixels within train: {names}" in inspect(data).text


def test_what_is_left_out_missing_or_empty_is_remarked(data, caplog):
    tile = data / "tile"
    Image.new("L", (64, 64)).save(tile / "ground_truth/spot/001_mask.png")
    (tile / "test/spot/notes.txt").touch()
    text = inspect(data).text
    assert f"The mask of {tile / 'test/spot/001.png'} is empty once it is resized" in text
    assert (
        f"{tile / 'test/spot'}: not used, because it is not part of the layout: notes.txt" in text
    )
    assert "1 are empty at 64x64" in text and text.endswith("no problems")
    assert caplog.records == []  # it stands in the report, and not before it
    for path in (tile / "ground_truth").rglob("*.png"):
        path.unlink()
    (tile / "ground_truth/spot").rmdir()
    (tile / "ground_truth").rmdir()
    assert "There are no masks: image metrics only" in inspect(data).text
    for path in (tile / "test/spot").iterdir():
        path.unlink()
    assert "no defective test image: scores and a threshold, but no AUROC" in inspect(data).text


def test_the_layout_and_what_tells_it(data):
    assert "layout folder (named by data.layout; mvtec would have been detected" in (
        inspect(data, layout="folder").text
    )
    for path in list((data / "tile/test").rglob("*.png")):
        path.unlink()
    (data / "tile/train/good").rename(data / "plain")
    found = inspect(data, "plain")
    assert "layout folder (detected: images are directly in it)" in found.text
    assert "can be trained on but not evaluated" in found.text
    assert found.problems == []
    (problem,) = inspect(data, "nothing").problems
    assert "there is no category 'nothing'" in problem


def test_the_contact_sheet_shows_kinds_masks_and_bad_files(data, tmp_path):
    tile = data / "tile"
    (tile / "train/good/000.png").write_bytes(b"")  # the first is always shown
    path = tmp_path / "new folder" / "sheet.png"
    inspect(data, output=path, on_error="skip")
    with Image.open(path) as image:
        sheet = np.asarray(image.convert("RGB")).astype(int)
    blocks = 3  # train good, test good, test spot
    assert sheet.shape[0] > 200 * blocks and sheet.shape[1] > 160 * COLUMNS
    red = (sheet == (255, 60, 60)).all(axis=2)
    rows = np.flatnonzero(red.any(axis=1))
    assert rows.min() > sheet.shape[0] * 2 / blocks * 0.9  # outlines in the last row only
    columns = np.flatnonzero(red.any(axis=0))
    assert np.count_nonzero(np.diff(columns) > 50) == 3  # around four discs
    assert path.name in inspect(data, output=path, on_error="skip").text  # over its own file
    assert list(path.parent.iterdir()) == [path]


def test_a_contact_sheet_harms_nothing(data, tmp_path):
    mine = tmp_path / "mine.png"
    Image.new("RGB", (4, 4)).save(mine)
    before = mine.read_bytes()
    with pytest.raises(UserError, match="mine.png exists and was not written by rdvar inspect"):
        inspect(data, output=mine)
    assert mine.read_bytes() == before
    with pytest.raises(UserError, match="is inside data.root"):
        inspect(data, output=data / "tile" / "sheet.png")
    with pytest.raises(UserError, match=r"cannot be written \(.*\); choose another path"):
        inspect(data, output=mine / "sheet.png")
    inspect(data, output=tmp_path / "sheets")
    assert (tmp_path / "sheets" / "tile_contact_sheet.png").is_file()


def test_bad_settings_are_said_together(data):
    with pytest.raises(UserError) as caught:
        inspect(data, layout="imagenet", on_error="ignore", image_size=0)
    for part in ("data.layout=imagenet", "data.on_error=ignore", "data.image_size=0"):
        assert part in str(caught.value)


def arguments(root: Path) -> list[str]:
    config = f"{REPOSITORY / 'configs' / 'smoke.py'}:tile"
    return ["inspect", "--config", config, f"--config.data.root={root}"]


def test_the_command_and_its_exit_code(data, capsys, monkeypatch):
    monkeypatch.setattr("rdvar_jax.cli.main.start_logging", lambda: None)
    assert main(arguments(data)) == 0
    assert "no problems" in capsys.readouterr().out
    (data / "tile/train/good/003.png").write_bytes(b"")
    (data / "tile/train/good/004.png").write_bytes(b"")
    assert main(arguments(data)) == 2
    printed = capsys.readouterr()
    assert "problems (2):" in printed.out and "004.png is empty" in printed.out
    assert printed.err == (
        "rdvar: tile cannot be used, because of the 2 problems above; fix them first.\n"
    )


def test_no_jax_is_loaded(toy_root):
    code = (
        "import sys\nfrom rdvar_jax.cli.main import main\n"
        f"assert main({arguments(toy_root)!r}) == 0\n"
        "assert not {'jax', 'flax', 'matplotlib', 'scipy'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "num_train", "num_good", "num_defective", "pixels"),
    [("screw", 320, 41, 119, "grey 480"), ("leather_tiles", 64, 32, 21, "RGB 117")],
)
def test_real_sets(shared, tmp_path, name, num_train, num_good, num_defective, pixels):
    found = inspect(shared / "data/mvtec_256", name, tmp_path, image_size=256)
    rows = [line.split() for line in found.text.splitlines()]
    assert ["train", "good", str(num_train)] in rows
    assert ["test", "good", str(num_good)] in rows
    defective = [row for row in rows if row[:1] == ["test"] and row[1] != "good"]
    assert sum(int(row[2]) for row in defective) == num_defective
    assert all(row[2] == row[3] for row in defective)
    assert f"pixels      {pixels}" in found.text and "0 are empty" in found.text
    assert found.problems == []
    assert (tmp_path / f"{name}_contact_sheet.png").is_file()
