"""Pictures of a test set: files, order and content."""

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from rdvar_jax.errors import UserError
from rdvar_jax.report.figures import save_figures, worst_first
from rdvar_jax.report.panels import overlay
from rdvar_jax.report.scale import color_scale


def sample_set(size=32, count=4, kinds=("crack", "good")):
    """Images [count, size, size, 3] that alternate between the kinds; scores fall with place."""
    rng = np.random.default_rng(0)
    kind = [kinds[i % len(kinds)] for i in range(count)]
    labels = np.array([name != "good" for name in kind])
    masks = np.zeros((count, size, size), dtype=bool)
    masks[labels, size // 4 : size // 2, size // 4 : size // 2] = True
    maps = rng.random(masks.shape).astype(np.float32) * 0.1 + masks
    return {
        "images": np.full((count, size, size, 3), 120, dtype=np.uint8),
        "masks": masks,
        "maps": maps.astype(np.float32),
        "scores": np.linspace(0.9, 0.1, count, dtype=np.float32),
        "labels": labels,
        "names": [f"{kind[i]}/{i:03d}.png" for i in range(count)],
    }


def read(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def tiles_of_panel(path):
    """The three tiles of a panel of a set with S <= 256: 256 pixels a side, 8 apart."""
    panel = read(path)
    return [panel[28 : 28 + 256, left : left + 256] for left in (8, 272, 536)]


def test_files_of_a_set(tmp_path):
    written = save_figures(tmp_path / "new" / "figures", **sample_set())
    # Scores: 0 crack .9, 1 good .63, 2 crack .37, 3 good .1. One pair of four is wrong, 2 and 1.
    names = [path.name for path in written]
    assert set(names[:2]) == {"000_good_001.png", "001_crack_002.png"}
    assert set(names[2:4]) == {"002_crack_000.png", "003_good_003.png"}
    assert names[4:] == ["worst.png", "overview.png"]
    assert sorted(path.name for path in (tmp_path / "new" / "figures").iterdir()) == sorted(names)
    for path in written:
        with Image.open(path) as image:
            image.load()
            assert image.format == "PNG" and image.mode == "RGB"


class TestOrder:
    def test_by_share_of_the_other_class(self):
        labels = np.array([False, False, False, False, True, True])
        scores = np.array([0.1, 0.2, 0.5, 0.9, 0.4, 0.5])
        # Good: above none, none, half (one below, one tie: 1.5 of 2), both. Defective 0.4: below
        # 2 of 4; defective 0.5: below 1 and equal to 1 of 4.
        error, order = worst_first(scores, labels)
        assert error.tolist() == [0, 0, 0.75, 1, 0.5, 0.375]
        assert order.tolist() == [3, 2, 4, 5, 1, 0]

    def test_equal_shares_by_margin(self):
        labels = np.array([True, True, False, False])
        error, order = worst_first(np.array([0.9, 0.7, 0.1, 0.4]), labels)
        assert error.tolist() == [0, 0, 0, 0]
        # Margins: 0.9 - 0.4, 0.7 - 0.4, 0.7 - 0.1, 0.7 - 0.4.
        assert order.tolist() == [1, 3, 0, 2]
        error, order = worst_first(np.array([0.1, 0.2, 0.9, 0.8]), labels)
        assert error.tolist() == [1, 1, 1, 1]
        # Margins: -0.8, -0.7, -0.8, -0.7.
        assert set(order[:2].tolist()) == {0, 2}

    def test_one_class(self):
        scores = np.array([0.2, -0.9, 0.5])
        error, order = worst_first(scores, np.zeros(3, dtype=bool))
        assert error.tolist() == [0, 0, 0] and order.tolist() == [2, 0, 1]
        assert worst_first(scores, np.ones(3, dtype=bool))[1].tolist() == [1, 0, 2]

    def test_equal_to_a_loop(self):
        rng = np.random.default_rng(1)
        labels, scores = rng.random(40) < 0.6, rng.integers(0, 9, 40).astype(float)
        error, order = worst_first(scores, labels)
        for i in range(40):
            others = scores[labels != labels[i]]
            wrong = others > scores[i] if labels[i] else others < scores[i]
            assert error[i] == pytest.approx(np.mean(wrong + 0.5 * (others == scores[i])))
        assert np.all(np.diff(error[order]) <= 0)

    def test_files_follow_it(self, tmp_path):
        data = sample_set(count=6, kinds=("good",))
        data["scores"] = np.array([3.0, 1, 5, 0, 4, 2])
        written = save_figures(tmp_path, **data, max_figures=3)
        assert [path.name for path in written[:-2]] == [
            "000_good_002.png",
            "001_good_004.png",
            "002_good_000.png",
        ]


@pytest.mark.parametrize("max_figures", [0, 1, None])
def test_max_figures_limits_the_single_images_only(tmp_path, max_figures):
    written = save_figures(tmp_path, **sample_set(), max_figures=max_figures)
    singles = 4 if max_figures is None else max_figures
    assert len(written) == singles + 2
    assert [path.name for path in written[singles:]] == ["worst.png", "overview.png"]


@pytest.mark.parametrize(
    ("size", "tile"), [(8, 256), (64, 256), (96, 256), (256, 256), (320, 320), (544, 512)]
)
def test_tiles_are_readable_at_every_size(tmp_path, size, tile):
    data = sample_set(size=size, count=2)
    written = save_figures(tmp_path, **data)
    single, sheet = read(written[0]), read(written[-1])
    gap = round(8 * tile / 256)
    assert single.shape[1] == 3 * tile + 4 * gap
    assert single.shape[0] > tile + 5 * gap
    assert sheet.shape[1] == 108 + 3 * 264  # no narrower than the title


def test_panel_shows_image_mask_and_heat_in_their_places(tmp_path):
    data = sample_set(size=64, count=2)
    data["images"][0, :, :32] = (200, 60, 20)
    data["scores"] = np.array([0.1, 0.9])  # the crack is the first file
    written = save_figures(tmp_path, **data)
    image, mask, heat = tiles_of_panel(written[0])
    assert np.array_equal(image[200, 50], (200, 60, 20))
    assert np.array_equal(image[200, 200], (120, 120, 120))
    # Mask: 16..32 of 64 pixels is 64..128 of 256.
    assert (mask[66:126, 66:126] == 255).all()
    assert (mask[:62] == 0).all() and (mask[:, 130:] == 0).all()
    hottest = 0.8 * 255 * np.array(matplotlib.colormaps["turbo"](1.0)[:3]) + 0.2 * image[96, 96]
    assert np.abs(heat[96, 96] - hottest).max() < 40
    assert np.abs(heat[200, 200] - image[200, 200]).max() < 40


@pytest.mark.parametrize("shape", [(32, 64), (64, 32)])
def test_images_that_are_not_square_keep_their_aspect(tmp_path, shape):
    data = sample_set(size=64)
    for name in ("images", "masks", "maps"):
        data[name] = data[name][:, : shape[0], : shape[1]]
    written = save_figures(tmp_path, **data)
    for tile in tiles_of_panel(next(path for path in written if "good" in path.name)):
        band = (tile if shape[0] < shape[1] else tile.swapaxes(0, 1)).min(axis=(1, 2))
        assert (band[:64] == 255).all() and (band[-64:] == 255).all()  # white above and below
        assert (band[66:-66] < 255).all()


def test_outline_follows_the_mask_and_hides_none_of_its_heat(tmp_path):
    data = sample_set(size=256, count=2)
    data["maps"][:] = 0.0  # no heat at all: what differs from the image is the outline
    data["scores"] = np.array([0.1, 0.9])
    image, mask, heat = tiles_of_panel(save_figures(tmp_path, **data)[0])
    valid_mask = mask[..., 0] > 0
    assert np.array_equal(heat[valid_mask], image[valid_mask])
    assert (heat[63, 64:128] == 255).all() and (heat[62, 64:128] == 0).all()
    assert (heat[64:128, 128] == 255).all() and (heat[64:128, 129] == 0).all()
    assert np.array_equal(heat[:62], image[:62])
    assert np.array_equal(heat[130:], image[130:])


def test_mask_tile_says_when_there_is_nothing_to_see(tmp_path):
    data = sample_set(size=64, count=2)
    data["masks"][:] = False
    written = save_figures(tmp_path, **data)
    masks = [tiles_of_panel(path)[1] for path in written[:2]]
    assert all((mask > 100).any() for mask in masks)
    assert not np.array_equal(masks[0], masks[1])  # a good image, and a defect whose mask is empty


class TestOverlay:
    image = np.full((8, 8, 3), 100, dtype=np.uint8)

    def test_colour_where_the_map_is_high_only(self):
        anomaly_map = np.zeros((8, 8), dtype=np.float32)
        anomaly_map[2:4, 2:4] = 1.0
        drawn = overlay(self.image, anomaly_map, (0.0, 1.0))
        hot = anomaly_map > 0
        assert np.array_equal(drawn[~hot], self.image[~hot])
        expected = 0.2 * 100 + 0.8 * 255 * np.array(matplotlib.colormaps["turbo"](1.0)[:3])
        assert np.abs(drawn[hot] - expected).max() <= 0.5 + 1e-6

    def test_opacity_rises_with_heat_and_never_hides_the_part(self):
        heat = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
        dark = overlay(np.zeros((64, 64, 3), dtype=np.uint8), heat, (0.0, 1.0)).astype(int)
        light = overlay(np.full((64, 64, 3), 255, dtype=np.uint8), heat, (0.0, 1.0)).astype(int)
        seen = (light - dark)[0].mean(axis=-1) / 255  # the part's share in the picture
        assert np.all(np.diff(seen) <= 0.01)
        assert seen[0] == 1.0 and seen[-1] == pytest.approx(0.2, abs=0.01)

    def test_values_beyond_the_scale_take_its_ends(self):
        anomaly_map = np.array([[-5.0, 0.0], [1.0, 50.0]], dtype=np.float32)
        drawn = overlay(self.image[:2, :2], anomaly_map, (0.0, 1.0))
        assert np.array_equal(drawn[0, 0], drawn[0, 1])
        assert np.array_equal(drawn[1, 0], drawn[1, 1])

    def test_flat_scale_is_no_heat(self):
        drawn = overlay(self.image, np.full((8, 8), 3.0, dtype=np.float32), (3.0, 3.0))
        assert np.array_equal(drawn, self.image)


def test_scale_is_common_to_the_set(tmp_path):
    maps = np.random.default_rng(0).normal(size=(5, 16, 16)).astype(np.float32)
    low, high = color_scale(maps)
    assert low == pytest.approx(np.median(maps))
    assert (maps > high).sum() == 2  # one in a thousand of 1280 values, interpolated

    # The same map looks fainter when another image of the set is hotter.
    data = sample_set(size=64, count=2)
    data["scores"] = np.array([0.1, 0.9])
    before = tiles_of_panel(save_figures(tmp_path, **data)[0])[2][96, 96]
    data["maps"][1, :32] = 10.0
    after = tiles_of_panel(save_figures(tmp_path, **data)[0])[2][96, 96]
    assert np.abs(before - 120).sum() > np.abs(after - 120).sum() + 50


def test_captions_tell_images_apart(tmp_path):
    data = sample_set(size=64, count=2, kinds=("good",))
    below = [read(path)[290:, :260] for path in save_figures(tmp_path, **data)[:2]]
    assert not np.array_equal(below[0], below[1])
    for drawn in below:
        assert (drawn < 100).all(axis=-1).sum() > 100  # dark text
    green = read(tmp_path / "000_good_000.png")[290:, :260]
    data["labels"] = np.ones(2, dtype=bool)
    written = save_figures(tmp_path, **data)
    red = read([path for path in written if path.name.endswith("good_000.png")][0])[290:, :260]
    assert (green[..., 1] > green[..., 0] + 50).any()
    assert not (green[..., 0] > green[..., 1] + 50).any()
    assert (red[..., 0] > red[..., 1] + 50).any()


def captions_of_panels(folder, data, monkeypatch):
    """The texts below the tiles of each single image, in the order of the files."""
    texts = []
    draw_text = ImageDraw.ImageDraw.text

    def record(self, xy, text, *args, **kwargs):
        texts.append(text)
        draw_text(self, xy, text, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(ImageDraw.ImageDraw, "text", record)
        save_figures(folder, **data)
    panels = []
    for _ in data["names"]:
        end = texts.index("raw map value")
        panels.append(texts[texts.index("anomaly map") + 1 : end])
        del texts[: end + 1]
    return panels


def test_captions_and_legend_in_words(tmp_path, monkeypatch):
    data = sample_set(size=16, count=5, kinds=("good",))
    data["labels"] = np.array([False, False, True, True, True])
    data["scores"] = np.array([0.25, -1.5, 0.25, 12345.678, -2])
    data["names"] = ["good/0.png", "good/1.png", "a/2.png", "a/3.png", "b/line\nbreak\udcff.png"]
    data["maps"] = np.linspace(-1, 3, 5 * 256).reshape(5, 16, 16)
    rank = "rank {} of 5 (1 = most anomalous)".format
    assert captions_of_panels(tmp_path, data, monkeypatch) == [
        ["b/line?break?.png", "defective", "score -2", rank(5), "below all good images", "1", "3"],
        ["good/0.png", "good", "score 0.25", rank(2), "above 50 % of defective images", "1", "3"],
        ["good/1.png", "good", "score -1.5", rank(4), "above 33.3 % of defective images", "1", "3"],
        ["a/2.png", "defective", "score 0.25", rank(2), "below 25 % of good images", "1", "3"],
        ["a/3.png", "defective", "score 1.235e+04", rank(1), "above all good images", "1", "3"],
    ]
    data["scores"] = np.array([2.0, 1, 0, 0, 0])
    remarks = [caption[4] for caption in captions_of_panels(tmp_path, data, monkeypatch)]
    assert sorted(remarks) == ["above all defective images"] * 2 + ["below all good images"] * 3
    data["scores"] = np.array([0, 0, 1.0, 1, 1])
    remarks = [caption[4] for caption in captions_of_panels(tmp_path, data, monkeypatch)]
    assert sorted(remarks) == ["above all good images"] * 3 + ["below all defective images"] * 2
    data["labels"][:] = False  # nothing to compare with
    assert {len(caption) for caption in captions_of_panels(tmp_path, data, monkeypatch)} == {6}


def test_long_names_keep_their_end(tmp_path, monkeypatch):
    data = sample_set(size=16, count=1)
    data["names"] = ["crack/" + "long name " * 30 + "003.png"]
    name = captions_of_panels(tmp_path, data, monkeypatch)[0][0]
    assert name.startswith("...") and name.endswith("long name 003.png")
    width = ImageFont.load_default(size=15).getlength
    assert 480 < width(name) <= 512


def test_small_maps_are_drawn_smoothly(tmp_path):
    data = sample_set(size=8, count=1)
    data["masks"][:] = False
    data["maps"][0] = np.arange(8, dtype=np.float32)
    heat = tiles_of_panel(save_figures(tmp_path, **data)[0])[2]
    assert len(np.unique(heat[128], axis=0)) > 64


def test_overview_shows_the_median_of_each_kind_and_wraps(tmp_path):
    kinds = ("good", "a", "b", "c", "d", "e", "f")
    data = sample_set(size=32, count=28, kinds=kinds)
    for i in range(28):  # a grey level for each image
        data["images"][i] = 9 * i
    data["maps"][:] = 0.0
    data["masks"][:] = False
    order = np.random.default_rng(3).permutation(28)
    data["scores"] = order.astype(float)
    save_figures(tmp_path, **data, max_figures=0)
    overview, worst = read(tmp_path / "overview.png"), read(tmp_path / "worst.png")
    assert worst.shape[1] == overview.shape[1] == 108 + 6 * 264
    assert overview.shape[0] > 1.9 * worst.shape[0] - 60
    block = worst.shape[0] - 56
    for number in range(7):
        members = [i for i in range(28) if i % 7 == number]
        median = sorted(members, key=lambda i: order[i])[1]  # of four
        y = 56 + number // 6 * block + 150
        x = 108 + number % 6 * 264 + 128
        assert overview[y, x].tolist() == [9 * median] * 3
    _, ranking = worst_first(data["scores"], data["labels"])
    shown = [worst[56 + 150, 108 + column * 264 + 128, 0] // 9 for column in range(6)]
    assert shown == ranking[:6].tolist()


@pytest.mark.parametrize(
    ("name", "file_name"),
    [
        ("scratch/003.png", "000_scratch_003.png"),
        ("test/deep/scratch/003.png", "000_scratch_003.png"),
        ("scratch\\003.bmp", "000_scratch_003.png"),
        ("003", "000_defective_003.png"),
        ("../..", "000_unnamed_unnamed.png"),
        ("a b/ü*?<>|: x.png", "000_a-b_x.png"),
        ("裂纹/零件\n\udcff.png", "000_unnamed_unnamed.png"),
        ("", "000_defective_unnamed.png"),
        ("d" * 300 + "/" + "e" * 300 + ".png", f"000_{'d' * 60}_{'e' * 60}.png"),
        ("cut/v1.2.png", "000_cut_v1.2.png"),
    ],
)
def test_names_with_odd_characters(tmp_path, name, file_name):
    data = sample_set(count=1, size=16)
    data["names"] = [name]
    assert [path.name for path in save_figures(tmp_path, **data)] == [
        file_name,
        "worst.png",
        "overview.png",
    ]


def test_own_stale_files_go_and_others_stay(tmp_path):
    save_figures(tmp_path, **sample_set(count=6))
    strangers = {
        "photo.png": b"not ours",
        "000_holiday_beach.png": b"\x89PNG a picture of somebody else",
        "worst.txt": b"notes",
    }
    for name, content in strangers.items():
        (tmp_path / name).write_bytes(content)
    own_elsewhere = tmp_path / "my copy of 000.png"
    own_elsewhere.write_bytes((tmp_path / "worst.png").read_bytes())
    written = save_figures(tmp_path, **sample_set(count=2), max_figures=1)
    assert {path.name for path in tmp_path.iterdir()} == {
        *strangers,
        own_elsewhere.name,
        *(path.name for path in written),
    }
    for name, content in strangers.items():
        assert (tmp_path / name).read_bytes() == content
    nothing = {key: value[:0] for key, value in sample_set().items()}
    assert save_figures(tmp_path, **nothing) == []
    assert {path.name for path in tmp_path.iterdir()} == {*strangers, own_elsewhere.name}


def test_folder_that_cannot_be_written(tmp_path):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("a file")
    for folder in (in_the_way, in_the_way / "below"):
        with pytest.raises(UserError, match=r"cannot write figures to .*file.*choose a writable"):
            save_figures(folder, **sample_set(count=1, size=16))
    (tmp_path / "figures" / "worst.png").mkdir(parents=True)
    with pytest.raises(UserError, match="cannot write figures to"):
        save_figures(tmp_path / "figures", **sample_set(count=1, size=16))


@pytest.mark.parametrize(
    ("argument", "change"),
    [
        ("images", lambda images: images.astype(np.float32)),
        ("images", lambda images: images[:, :-1]),
        ("images", lambda images: images[0]),
        ("masks", lambda masks: masks[:, :-1]),
        ("maps", lambda maps: maps[:-1]),
        ("maps", lambda maps: np.where(maps > 1, np.nan, maps)),
        ("scores", lambda scores: scores * np.inf),
        ("scores", lambda scores: scores[:-1]),
        ("labels", lambda labels: labels[:-1]),
        ("names", lambda names: names[:-1]),
    ],
)
def test_arguments_that_do_not_fit(tmp_path, argument, change):
    data = sample_set()
    data[argument] = change(data[argument])
    with pytest.raises(ValueError):
        save_figures(tmp_path / "figures", **data)
    assert not (tmp_path / "figures").exists()


def test_negative_max_figures(tmp_path):
    with pytest.raises(ValueError, match="max_figures"):
        save_figures(tmp_path, **sample_set(), max_figures=-1)


def test_same_input_same_bytes(tmp_path):
    first = save_figures(tmp_path / "a", **sample_set())
    second = save_figures(tmp_path / "b", **sample_set())
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_figures_need_no_jax():
    code = "import sys, rdvar_jax.report.figures\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert "PIL.Image" in loaded
    assert not loaded & {"jax", "flax", "scipy", "matplotlib", "matplotlib.pyplot"}
    ours = {name for name in loaded if name.startswith("rdvar_jax.")}
    assert ours <= {
        "rdvar_jax.version",
        "rdvar_jax.errors",
        "rdvar_jax.files",
        "rdvar_jax.files.replacing",
        "rdvar_jax.report",
        "rdvar_jax.report.figures",
        "rdvar_jax.report.image_set",
        "rdvar_jax.report.lettering",
        "rdvar_jax.report.outline",
        "rdvar_jax.report.panels",
        "rdvar_jax.report.scale",
        "rdvar_jax.report.turbo",
    }
