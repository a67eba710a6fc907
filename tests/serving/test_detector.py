"""`Detector`: numpy in, numpy out, the scores of evaluation."""

import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from narrow import THRESHOLD, scored
from PIL import Image
from wrong_compiler import compiler_with_wrong_sums

import rdvar_jax
from rdvar_jax import Detector
from rdvar_jax.data.pixels.decode import decode_image
from rdvar_jax.data.pixels.geometry import MODES, Geometry
from rdvar_jax.data.pixels.ignore_mask import IgnoreMask
from rdvar_jax.errors import BundleError, CompilerError, DataError
from rdvar_jax.scoring.defects import above_threshold, find_defects
from rdvar_jax.scoring.maps import SIGMA
from rdvar_jax.scoring.pooling import pooled_on_host
from rdvar_jax.serving.archive import IGNORE, PROGRAM, WEIGHTS, read_bundle, write_bundle
from rdvar_jax.serving.program import export_program
from rdvar_jax.weights.safetensors_file import safetensors_bytes


@pytest.fixture(scope="module")
def detector(bundle) -> Detector:
    return Detector.load(bundle, batch_size=4)


def assert_same(found, expected, rows=slice(None)):
    maps, scores = expected
    np.testing.assert_allclose(found.maps, maps[rows], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.scores, scores[rows], rtol=1e-5)
    assert found.maps.dtype == found.scores.dtype == np.float32


@pytest.mark.parametrize("count", [1, 3, 7, 8])
def test_scores_are_those_of_evaluation_for_any_number(detector, odd, expected, count):
    assert_same(detector.predict(odd.images[:count]), expected, slice(count))


def test_no_image_is_an_empty_prediction(detector):
    found = detector.predict([])
    assert found.scores.shape == (0,) and found.maps.shape == (0, 32, 32)
    assert found.verdicts.shape == (0,)


def test_few_programs_are_compiled(bundle, odd):
    detector = Detector.load(bundle, batch_size=4)
    for count in range(1, 9):
        detector.predict(odd.images[:count])
    assert detector._runtime._program._cache_size() == 3  # 1, 2 and 4 images


def test_verdicts_follow_the_threshold_and_scores_do_not(detector, odd, expected):
    scores = expected[1]
    stored = detector.predict(odd.images)
    assert detector.threshold == stored.threshold == THRESHOLD
    middle = float(np.median(scores))
    for threshold in (middle, float(scores.max()) * 1.01, -1.0):
        found = detector.predict(odd.images, threshold=threshold)
        assert np.array_equal(found.verdicts, found.scores > np.float32(threshold))
        assert found.threshold == threshold
        assert np.array_equal(found.scores, stored.scores)
    # Equal is not above.
    one = float(stored.scores[2])
    assert not detector.predict(odd.images, threshold=one).verdicts[2]
    with pytest.raises(ValueError, match="must be a number, not nan"):
        detector.predict(odd.images, threshold=float("nan"))


def test_a_bundle_without_threshold_gives_no_verdicts(bundle, odd, tmp_path):
    manifest, members = read_bundle(bundle)
    about = {name: manifest[name] for name in ("image", "versions")}
    write_bundle(tmp_path / "none.rdvar", {**about, "threshold": None}, members)
    detector = Detector.load(tmp_path / "none.rdvar")
    assert detector.threshold is None
    found = detector.predict(odd.images[:1])
    assert found.threshold is None and found.verdicts is None
    assert detector.predict(odd.images[:1], threshold=-1).verdicts.tolist() == [True]


def test_the_threshold_of_pixels_is_that_of_images_only_if_scores_are_maxima(bundle, tmp_path):
    manifest, members = read_bundle(bundle)
    assert Detector.load(bundle).pixel_threshold == THRESHOLD  # a manifest without `map`
    for pooling, entry, expected in (
        ("max", {}, THRESHOLD),
        (0.01, {}, None),
        (0.01, {"pixel_threshold": 0.75}, 0.75),
    ):
        manifest["map"] = {"pooling": pooling}
        manifest["threshold"] = {"threshold": THRESHOLD, **entry}
        write_bundle(tmp_path / "part.rdvar", manifest, members)
        detector = Detector.load(tmp_path / "part.rdvar")
        assert (detector.threshold, detector.pixel_threshold) == (THRESHOLD, expected)


def test_a_bundle_averages_the_highest_pixels(odd, weights, bundle, expected, tmp_path):
    program = export_program(odd.teacher, odd.student, weights, odd.SIZE, SIGMA, "tf32", 0.05)
    manifest, members = read_bundle(bundle)
    write_bundle(tmp_path / "part.rdvar", manifest, {**members, PROGRAM: program})
    found = Detector.load(tmp_path / "part.rdvar", batch_size=4).predict(odd.images[:3])
    np.testing.assert_allclose(found.maps, expected[0][:3], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.scores, pooled_on_host(found.maps, 0.05), rtol=1e-6)


def test_a_bundle_leaves_out_ignored_pixels(odd, weights, bundle, expected, tmp_path):
    ignored = np.zeros((64, 64), bool)  # twice the size of the maps
    ignored[:40] = True
    program = export_program(
        odd.teacher, odd.student, weights, odd.SIZE, SIGMA, "tf32", ignored=ignored[::2, ::2]
    )
    manifest, members = read_bundle(bundle)
    assert manifest.pop("format_version") == 1  # as before: earlier versions read it
    members |= {PROGRAM: program, IGNORE: IgnoreMask.of(ignored).png()}
    write_bundle(tmp_path / "part.rdvar", manifest, members)
    detector = Detector.load(tmp_path / "part.rdvar", batch_size=4)
    found = detector.predict(odd.images[:3])
    assert not found.maps[:, :20].any() and (found.maps[:, 20:] > 0).all()
    np.testing.assert_allclose(found.maps[:, 20:], expected[0][:3, 20:], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found.scores, found.maps.max((1, 2)))
    assert (found.scores < expected[1][:3]).any()
    assert detector.ignore == IgnoreMask.of(ignored) and Detector.load(bundle).ignore is None
    # The picture is covered by the manifest's hashes, and must be one.
    assert read_bundle(tmp_path / "part.rdvar")[0]["format_version"] == 2
    write_bundle(tmp_path / "bad.rdvar", manifest, {**members, IGNORE: b"no picture"})
    with pytest.raises(BundleError, match=r"bad\.rdvar cannot be used, .*ignore\.png"):
        Detector.load(tmp_path / "bad.rdvar")
    content = (tmp_path / "part.rdvar").read_bytes()
    picture = members[IGNORE]
    (tmp_path / "bad.rdvar").write_bytes(content.replace(picture, picture[::-1]))
    with pytest.raises(BundleError, match=r"is not an intact bundle"):
        Detector.load(tmp_path / "bad.rdvar")


def test_an_image_without_a_region_that_is_large_enough_is_good(bundle, odd, tmp_path):
    """By the regions at each image's own size, whatever the size of maps."""
    manifest, members = read_bundle(bundle)
    large = [Image.fromarray(image).resize((96, 64)) for image in odd.images[:4]]
    scored_large = Detector.load(bundle).predict(large)
    threshold = float(np.sort(scored_large.scores)[:2].mean())
    areas = []
    for one in scored_large.maps:
        full = Geometry("squash", 32, 32).to_original(one, (64, 96))
        above = above_threshold(full, threshold, float(one.max()))
        areas.append(max((d.area for d in find_defects(above, full)), default=0))
    assert len(set(areas)) == 4 and min(areas) == 0
    for min_area in (0, 1, sorted(areas)[-2] + 1, max(areas), max(areas) + 1):
        about = {**manifest, "threshold": {"threshold": threshold}, "min_area": min_area}
        write_bundle(tmp_path / "part.rdvar", about, members)
        detector = Detector.load(tmp_path / "part.rdvar", batch_size=2)
        assert detector.min_area == min_area
        found = detector.predict(large)
        above = scored_large.scores > np.float32(threshold)
        np.testing.assert_array_equal(found.scores, scored_large.scores)
        assert found.verdicts.tolist() == (above & (np.array(areas) >= min_area)).tolist()
        # Another threshold of images is one of pixels too, as scores are maxima.
        assert detector.predict(large, threshold=-1.0).verdicts.all()
    pooled_scores = {**about, "map": {"pooling": 0.1}}
    write_bundle(tmp_path / "part.rdvar", pooled_scores, members)
    with pytest.raises(BundleError, match="min_area in its manifest needs a threshold of pixels"):
        Detector.load(tmp_path / "part.rdvar")


def test_files_pictures_and_arrays_are_the_same_images(detector, tmp_path):
    rng = np.random.default_rng(5)
    array = rng.integers(0, 256, (50, 37, 3), dtype=np.uint8)
    path = tmp_path / "größe.png"
    Image.fromarray(array).save(path)
    with Image.open(path) as picture:
        several = detector.predict([array, path, str(path), picture, Image.fromarray(array)])
        alone = [detector.predict(image) for image in (array, path, str(path), picture)]
    # Result of training's decoder.
    expected = detector.predict(decode_image(path, 32)[None])
    for index in range(5):
        np.testing.assert_allclose(several.maps[index], expected.maps[0], rtol=1e-5, atol=1e-6)
    for found in alone:
        assert found.maps.shape == (1, 32, 32)
        assert np.array_equal(found.maps, expected.maps)
    batch = np.stack([array, array[::-1]])  # [2, 50, 37, 3]
    np.testing.assert_allclose(detector.predict(batch).maps[0], expected.maps[0], rtol=1e-5)


def test_pictures_of_every_kind_are_read_as_files_are(detector, tmp_path):
    grey = np.arange(40 * 40, dtype=np.uint8).reshape(40, 40)
    deep = (np.arange(1600, dtype=np.uint16) * 40).reshape(40, 40)
    turned = Image.Exif()
    turned[0x0112] = 6
    kinds = {
        "grey": Image.fromarray(grey),
        "deep": Image.fromarray(deep),
        "palette": Image.fromarray(grey).convert("P"),
        "alpha": Image.fromarray(np.dstack([grey] * 4)),
        "binary": Image.fromarray(grey > 100),
    }
    for name, picture in kinds.items():
        path = tmp_path / f"{name}.png"
        picture.save(path, exif=turned)
        with Image.open(path) as opened:
            found, from_file = detector.predict(opened), detector.predict(path)
            assert np.array_equal(found.maps, from_file.maps), name
    assert np.array_equal(detector.predict(grey).maps, detector.predict(np.dstack([grey] * 3)).maps)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "tile"])
def test_images_take_the_way_of_training(odd, weights, tmp_path, mode):
    """A bundle for 32 x 64, as `rdvar export` writes it."""
    program = export_program(odd.teacher, odd.student, weights, (32, 64), SIGMA, "tf32")
    about = {
        "image": {"geometry": mode, "height": 32, "width": 64},
        "threshold": None,
        "versions": {"jax": jax.__version__},
    }
    members = {PROGRAM: program, WEIGHTS: safetensors_bytes(weights, {})}
    write_bundle(tmp_path / "part.rdvar", about, members)
    detector = Detector.load(tmp_path / "part.rdvar")
    geometry = Geometry(mode, 32, 64)
    assert detector.geometry == geometry
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(5).integers(0, 256, (50, 37, 3), np.uint8)).save(path)
    networks = odd.teacher, odd.student, odd.teacher_variables, odd.student_variables
    expected = scored(*networks, decode_image(path, geometry)[None])
    assert_same(detector.predict(path), expected)
    found = detector.predict(np.asarray(Image.open(path)))
    assert_same(found, expected)
    assert detector.geometry.to_original(found.maps[0], (50, 37)).shape == (50, 37)


def test_the_users_picture_stays_as_it_was(detector):
    picture = Image.fromarray(np.zeros((9, 9, 3), np.uint8))
    picture.info["transparency"] = (0, 0, 0)
    detector.predict(picture)
    assert picture.info == {"transparency": (0, 0, 0)} and picture.size == (9, 9)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((2, 32, 32, 3), np.float32), "dtype float32"),
        ([np.zeros((32, 32, 3))], "dtype float64"),
        (np.zeros((2, 3, 32, 32), np.uint8), "shape [3, 32, 32]"),
        (np.zeros((2, 32, 32, 4), np.uint8), "shape [32, 32, 4]"),
        (np.zeros((0, 32, 3), np.uint8), "shape [0, 32, 3]"),
        (np.zeros(5, np.uint8), "shape [5]"),
        (np.zeros((1, 2, 32, 32, 3), np.uint8), "shape [1, 2, 32, 32, 3]"),
        ([3], "a int is not an image"),
        (7, "a int is not an image"),
        (None, "a NoneType is not an image"),
        ([Image.new("F", (8, 8))], "mode F"),
        (["nowhere.png"], "nowhere.png does not exist"),
    ],
)
def test_what_is_no_image_is_refused_in_one_sentence(detector, images, words):
    with pytest.raises(DataError) as caught:
        detector.predict(images)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_damaged_bundle_is_refused(bundle, tmp_path):
    path = shutil.copy(bundle, tmp_path / "part.rdvar")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match="not an intact bundle"):
        Detector.load(path)


@pytest.mark.parametrize("what", ["program", "weights", "other weights"])
def test_parts_that_do_not_fit_together_are_refused(bundle, weights, tmp_path, what):
    from rdvar_jax.weights.safetensors_file import safetensors_bytes

    manifest, members = read_bundle(bundle)
    fewer = dict(list(weights.items())[1:])
    changed = {
        "program": (PROGRAM, b"no program"),
        "weights": (WEIGHTS, b"no weights"),
        "other weights": (WEIGHTS, safetensors_bytes(fewer, {})),
    }
    name, content = changed[what]
    about = {name: manifest[name] for name in ("image", "versions", "threshold")}
    write_bundle(tmp_path / "x.rdvar", about, {**members, name: content})
    with pytest.raises(BundleError) as caught:
        Detector.load(tmp_path / "x.rdvar")
    assert f"jax {jax.__version__}" in str(caught.value) and "\n" not in str(caught.value)


def test_another_kind_of_device_is_refused(bundle, monkeypatch):
    monkeypatch.setattr(jax.export, "default_export_platform", lambda: "tpu")
    with pytest.raises(BundleError, match="it was exported for cpu, cuda"):
        Detector.load(bundle)


def test_the_batch_size_is_checked(bundle):
    with pytest.raises(ValueError, match="batch_size"):
        Detector.load(bundle, batch_size=0)


def test_a_wrong_compiler_is_not_taken_for_a_wrong_bundle(bundle):
    sentence = r"jax \S+ with .* wrong numbers on cpu .*sums of rows: .* is right.*install another"
    with compiler_with_wrong_sums(), pytest.raises(CompilerError, match=sentence):
        Detector.load(bundle)


def test_the_program_holds_no_weights_and_names_no_place(bundle, weights):
    members = read_bundle(bundle)[1]
    assert len(members[PROGRAM]) < 300_000
    # Source paths would disclose where the program was made and change its bytes.
    home = str(Path(rdvar_jax.__file__).parents[1])
    assert home.encode() not in members[PROGRAM]
    assert len(members[WEIGHTS]) > 4 * sum(array.size for array in weights.values())


def test_a_detector_loads_only_what_the_light_install_has():
    # Some packages jax loads itself where they are installed.
    needed = loaded_by("import jax, jax.export, numpy, PIL.Image, safetensors")
    assert {"jax", "numpy", "PIL"} <= needed
    code = "from rdvar_jax import Detector"
    assert loaded_by(code) == {*loaded_by("import numpy, PIL.Image"), "rdvar_jax"}
    code += "; from rdvar_jax.serving.bundle import load_bundle"
    assert loaded_by(code) == {*needed, "rdvar_jax"}


def loaded_by(code: str) -> set[str]:
    code += "; print(*{name.split('.')[0] for name in sys.modules} - sys.stdlib_module_names)"
    command = [sys.executable, "-c", f"import sys; {code}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_package_has_no_other_lazy_names():
    assert rdvar_jax.Detector is Detector
    with pytest.raises(AttributeError, match="Detektor"):
        _ = rdvar_jax.Detektor


def test_a_list_gives_what_its_batches_give(detector, tmp_path):
    rng = np.random.default_rng(8)
    paths = [tmp_path / f"{index}.png" for index in range(11)]
    for index, path in enumerate(paths):
        size = (40 + index, 60 - index, 3)
        Image.fromarray(rng.integers(0, 256, size, np.uint8)).save(path)
    found = detector.predict(paths)
    for start in range(0, 11, 4):
        alone = detector.predict(paths[start : start + 4])
        assert np.array_equal(found.maps[start : start + 4], alone.maps)
        assert np.array_equal(found.scores[start : start + 4], alone.scores)


def test_a_picture_may_be_in_a_list_many_times(detector, tmp_path):
    Image.fromarray(np.full((300, 300, 3), 90, np.uint8)).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:  # not loaded yet
        found = detector.predict([picture] * 12)
    assert np.array_equal(found.maps, found.maps[:1].repeat(12, axis=0))


def test_the_first_bad_image_of_a_list_is_named(detector, tmp_path):
    good = np.zeros((9, 9, 3), np.uint8)
    for first in (1, 6):
        images = [good] * 12
        images[first], images[first + 2] = tmp_path / "first.png", tmp_path / "second.png"
        with pytest.raises(DataError, match=r"first\.png does not exist"):
            detector.predict(images)
    with pytest.raises(DataError, match="image 9 holds pixels of Pillow's mode F"):
        detector.predict([good] * 9 + [Image.new("F", (8, 8))])
