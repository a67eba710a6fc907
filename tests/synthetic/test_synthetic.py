"""Synthetic images: the same bytes from the same seed, exact masks, a readable folder."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from rdvar_jax import synthetic
from rdvar_jax.data.loading.arrays import load_test, load_train
from rdvar_jax.data.sets.folder import find_category, list_categories
from rdvar_jax.errors import ConfigError, DataError
from rdvar_jax.synthetic import CATEGORIES, DEFECTS, generate, picture, render, write
from rdvar_jax.synthetic.draws import Draws
from rdvar_jax.synthetic.fields import Frame, blurred, circle, hexagon, polyline
from rdvar_jax.synthetic.surface import Shot
from rdvar_jax.synthetic.text import text_distance, text_width

SIZE = 64
COMBINATIONS = [(category, defect) for category in CATEGORIES for defect in DEFECTS[category]]


def generate_few(
    root: Path, categories: list[str] | None = None, *, size: int = SIZE, seed: int = 0
) -> None:
    """Two training images of each category, one good test image and one of each defect."""
    generate(
        root,
        categories,
        size=size,
        num_train=2,
        num_test_good=1,
        num_per_defect=1,
        seed=seed,
        num_workers=1,
        progress=False,
    )


def files_of(root: Path) -> dict[str, bytes]:
    paths = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All categories at 64 x 64, a few images of each."""
    root = tmp_path_factory.mktemp("synthetic") / "drawn"
    generate_few(root)
    return root


# --- random numbers ---


def test_draws_are_pinned():
    """Fixed values on every machine and with every version of numpy."""
    draws = Draws(7, "cloth", "test", 3)
    assert [draws.integer(1000) for _ in range(4)] == [752, 778, 460, 561]
    np.testing.assert_array_equal(
        draws.normals(3),
        np.array([-1.578551173210144, 0.49229294061660767, -0.6647950410842896], np.float32),
    )


def test_normals_are_normal_enough():
    values = Draws(0).normals(100_000)
    assert values.dtype == np.float32
    assert abs(values.mean()) < 0.02
    assert abs(values.std() - 1) < 0.01
    assert abs((np.abs(values) < 1).mean() - 0.68) < 0.02


def test_streams_differ_by_seed_and_by_every_word():
    streams = [(0, "a", 1), (1, "a", 1), (0, "b", 1), (0, "a", 2), (0, "a"), (2**32, "a", 1)]
    assert len({Draws(*words).uniform() for words in streams}) == len(streams)


# --- shapes ---


def test_distances():
    frame = Frame.of_image(200).moved(0.5, 0.5, angle=0.3)
    inside = circle(frame, 0.2) < 0
    assert abs(inside.mean() - np.pi * 0.2**2) < 1e-3
    inside = hexagon(frame, 0.2) < 0
    assert abs(inside.mean() - 2 * np.sqrt(3) * 0.2**2) < 1e-3
    distance, along = polyline(frame, [(-0.2, 0), (0.2, 0)])
    np.testing.assert_allclose(
        distance, np.hypot(np.maximum(np.abs(frame.u) - 0.2, 0), frame.v), atol=1e-6
    )
    np.testing.assert_allclose(along, np.clip((frame.u + 0.2) / 0.4, 0, 1), atol=1e-5)


def test_text_fills_its_box():
    frame = Frame.of_image(200).moved(0.5, 0.5)
    strokes = text_distance(frame, "RD-40", 0.2) < 0.005
    assert abs(np.ptp(frame.u[strokes]) - text_width("RD-40", 0.2)) < 0.02
    assert abs(np.ptp(frame.v[strokes]) - 0.2) < 0.02


def test_blur_keeps_the_amount_and_ends():
    spot = (circle(Frame.of_image(128).moved(0.5, 0.5), 0.1) < 0).astype(np.float32)
    soft = blurred(spot, 0.05)
    assert abs(soft.mean() / spot.mean() - 1) < 0.02
    assert np.abs(soft[circle(Frame.of_image(128).moved(0.5, 0.5), 0.22) > 0]).max() < 1e-3


# --- one image ---


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_good_image(category: str):
    image, mask = render(category, size=SIZE)
    assert image.shape == (SIZE, SIZE, 3) and image.dtype == np.uint8
    assert mask.shape == (SIZE, SIZE) and mask.dtype == np.bool_
    assert not mask.any()
    # A well-exposed photograph: neither flat nor burnt out.
    assert 40 < image.mean() < 200
    assert image.std() > 15
    assert (image == 255).mean() < 0.02


@pytest.mark.parametrize(("category", "defect"), COMBINATIONS)
def test_masks_hold_what_differs_from_the_good_twin(category: str, defect: str):
    size = 128
    for index in (0, 4):  # rather obvious, and hardest
        bad, mask = render(category, defect, index=index, size=size)
        good, empty = render(category, defect, index=index, size=size, repaired=True)
        assert not empty.any()
        difference = np.abs(bad.astype(int) - good).max(axis=-1)
        # The lens spreads a change by a pixel or two.
        outside = np.logical_not(ndimage.binary_dilation(mask, iterations=2))
        assert difference[outside].max() <= 3
        assert difference[mask].mean() > 3
        assert (difference[mask] > 2).mean() > 0.5
        assert 0.0005 < mask.mean() < 0.15


@pytest.mark.parametrize(("category", "defect"), COMBINATIONS)
def test_a_mask_is_never_empty(category: str, defect: str):
    masks = [render(category, defect, index=i, seed=9, size=SIZE)[1] for i in range(4)]
    assert all(mask.any() for mask in masks)


def test_severities_cover_their_range():
    severities = sorted(picture.severity(index) for index in range(6))
    assert severities[0] < 0.15 and severities[-1] > 0.85
    assert max(np.diff(severities)) < 0.3


def test_seeds_indices_and_splits_differ():
    images = [
        render("nut", size=SIZE)[0],
        render("nut", size=SIZE, seed=1)[0],
        render("nut", size=SIZE, index=1)[0],
        render("nut", size=SIZE, split="train")[0],
        render("nut", "rust", size=SIZE, repaired=True)[0],
    ]
    assert len({image.tobytes() for image in images}) == len(images)


@pytest.mark.parametrize("category", CATEGORIES)
def test_another_size_shows_the_same_part(category: str):
    small, large = (render(category, size=size)[0].astype(float) for size in (96, 192))
    halved = large.reshape(96, 2, 96, 2, 3).mean(axis=(1, 3))
    # Threads and grains are sampled differently; parts, light and shadows are not.
    soft = [ndimage.gaussian_filter(image, (3, 3, 0)) for image in (small, halved)]
    assert np.abs(soft[0] - soft[1]).mean() < 5
    assert np.corrcoef(soft[0].ravel(), soft[1].ravel())[0, 1] > 0.98


@pytest.mark.parametrize(("category", "defect"), COMBINATIONS)
def test_surfaces_are_float32(category: str, defect: str):
    """One float64 scalar would silently promote all arrays and double the time."""
    shot = Shot(SIZE, defect, Draws(0, "scene"), Draws(0, "defect"), 0.5)
    surface, _ = getattr(synthetic, category).draw(shot)
    for name in ("height", "diffuse", "gloss", "rough", "visible"):
        assert getattr(surface, name).dtype == np.float32, name


def test_an_image_of_32_pixels_and_of_odd_size():
    assert render("plate", "scratch", size=32)[0].shape == (32, 32, 3)
    assert render("cloth", "stain", size=75)[1].shape == (75, 75)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="blister, cloth, nut, plate"):
        render("bottle")
    with pytest.raises(ValueError, match="a defect of nut must be one of bent"):
        render("nut", "hole")
    with pytest.raises(ValueError, match="at least 32"):
        render("nut", size=31)
    with pytest.raises(ValueError):
        render("nut", seed=-1, size=32)


# --- a folder ---


def test_the_layout_is_read(drawn: Path):
    assert list_categories(drawn) == list(CATEGORIES)
    for name in CATEGORIES:
        category = find_category(drawn, name)
        assert len(category.train) == 2
        defects = [record.defect for record in category.test]
        assert defects == sorted([*DEFECTS[name], "good"])
        train = load_train(category, SIZE, progress=False)
        test = load_test(category, SIZE, progress=False)
        assert train.images.shape == (2, SIZE, SIZE, 3)
        for record, image, mask in zip(test.records, test.images, test.masks, strict=True):
            kind = record.defect if record.label else None
            expected = render(name, kind, size=SIZE)
            np.testing.assert_array_equal(image, expected[0])
            np.testing.assert_array_equal(mask, expected[1])
            assert mask.any() == bool(record.label)


def test_the_same_seed_gives_the_same_bytes(drawn: Path, tmp_path: Path):
    generate(
        tmp_path / "again",
        list(reversed(CATEGORIES)),
        size=SIZE,
        num_train=2,
        num_test_good=1,
        num_per_defect=1,
        num_workers=3,
        progress=False,
    )
    assert files_of(tmp_path / "again") == files_of(drawn)


def test_more_images_change_no_other(drawn: Path, tmp_path: Path):
    generate(
        tmp_path / "more",
        ["plate"],
        size=SIZE,
        num_train=3,
        num_test_good=2,
        num_per_defect=2,
        progress=False,
    )
    before, after = files_of(drawn), files_of(tmp_path / "more")
    common = (set(before) & set(after)) - {write.RECORD}
    assert len(common) == 3 + 2 * len(DEFECTS["plate"])
    assert len(after) == 5 + 2 * 2 * len(DEFECTS["plate"]) + 1
    for name in common:
        assert before[name] == after[name], name


def test_another_seed_gives_other_images(drawn: Path, tmp_path: Path):
    generate_few(tmp_path / "other", seed=1)
    before, after = files_of(drawn), files_of(tmp_path / "other")
    assert set(before) == set(after)
    assert all(before[name] != after[name] for name in before if "ground_truth" not in name)


def test_files_hold_pixels_only(drawn: Path):
    """No date or program name, which could differ between runs."""
    for path in islice(drawn.rglob("*.png"), 5):
        with Image.open(path) as image:
            assert image.info == {}
            assert image.mode == ("L" if path.name.endswith("_mask.png") else "RGB")


def test_the_record_says_what_was_drawn(drawn: Path):
    record = json.loads((drawn / write.RECORD).read_text())
    assert record["size"] == SIZE and record["seed"] == 0 and record["recipe"] == write.RECIPE
    assert record["categories"] == list(CATEGORIES)


def test_an_empty_folder_is_used_and_a_finished_one_is_left(tmp_path: Path):
    root = tmp_path / "data" / "set"
    root.mkdir(parents=True)
    generate_few(root, ["cloth"], size=32)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    (root / ".DS_Store").touch()
    generate_few(root, ["cloth"], size=32)
    (root / ".DS_Store").unlink()
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*") if path != root} == {
        path: time for path, time in before.items() if path != root
    }


@pytest.mark.parametrize("what", ["strange file", "other settings", "one missing", "one more"])
def test_other_files_are_not_overwritten(what: str, tmp_path: Path):
    root = tmp_path / "set"
    if what == "strange file":
        root.mkdir()
        (root / "notes.txt").write_text("mine")
    else:
        generate_few(root, ["nut"], size=32)
    if what == "one missing":
        next(root.rglob("*_mask.png")).unlink()
    if what == "one more":
        (root / "nut" / "train" / "good" / "mine.png").touch()
    before = files_of(root)
    with pytest.raises(DataError, match=r"choose a new folder, or delete this one first\.$"):
        generate_few(root, ["nut"], size=32, seed=int(what == "other settings"))
    assert files_of(root) == before


def test_a_file_in_the_place_of_the_folder(tmp_path: Path):
    (tmp_path / "set").touch()
    with pytest.raises(DataError, match=r"is a file; choose another folder"):
        generate(tmp_path / "set", size=32, progress=False)


def failing_render() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    yield render("nut", size=32)
    raise KeyboardInterrupt


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    images = failing_render()
    monkeypatch.setattr(write, "render", lambda *args, **kwargs: next(images))
    with pytest.raises(KeyboardInterrupt):
        generate_few(tmp_path / "set", ["nut"], size=32)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"categories": ["bottle"]}, r"no drawn category bottle; choose from blister, cloth"),
        ({"categories": []}, r"choose from blister, cloth, nut, plate\.$"),
        ({"size": 31}, r"^size: 31 is too small; set it to 32 or more\.$"),
        ({"seed": -1}, r"^seed: -1 is negative"),
        ({"num_train": 0}, r"num_train=0, .* set the first to 1 or more"),
        ({"num_test_good": 0, "num_per_defect": 0}, r"are both 0; set one of them"),
    ],
)
def test_wrong_settings(arguments: dict, message: str, tmp_path: Path):
    with pytest.raises(ConfigError, match=message):
        generate(tmp_path / "set", progress=False, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_names_are_sorted_and_kinds_are_many():
    assert list(CATEGORIES) == sorted(CATEGORIES)
    assert len(CATEGORIES) >= 4
    assert all(len(kinds) >= 3 and list(kinds) == sorted(kinds) for kinds in DEFECTS.values())
    assert len({kind for kinds in DEFECTS.values() for kind in kinds}) >= 6
