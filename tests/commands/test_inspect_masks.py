"""What rdvar inspect says of masks: values, areas, inverted ones, and EXIF orientation."""

from pathlib import Path

import numpy as np
import pytest
from mask_kinds import as_colours, as_palette, as_values
from PIL import ExifTags, Image

from rdvar_jax.cli.main import main
from rdvar_jax.commands.inspect import Inspection, inspect_set
from rdvar_jax.runs.config import default_config


def inspect(root: Path, **data) -> Inspection:
    config = default_config()
    config.data.update(root=str(root), category="tile", image_size=64, **data)
    return inspect_set(config)


@pytest.fixture
def root(tmp_path) -> Path:
    """Two defects: a square of 10 x 10 and one of 20 x 20; the masks are the test's."""
    for name in ("train/good/0", "train/good/1", "test/good/0", "test/spot/0", "test/spot/1"):
        path = tmp_path / f"tile/{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(sum(map(ord, name))).integers(0, 256, (64, 64, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    return tmp_path


def numbers(index: int) -> np.ndarray:
    found = np.zeros((64, 64), np.uint8)
    side = 10 * (index + 1)
    found[:side, :side] = index + 1
    return found


def write_masks(root: Path, write, suffix: str = "png") -> None:
    folder = root / "tile/ground_truth/spot"
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(2):
        write(numbers(index), folder / f"{index}_mask.{suffix}")


def test_values_and_areas_are_shown(root):
    write_masks(root, as_values(0, 255, 255))
    found = inspect(root)
    assert (
        "values      0, 255; defective: more than half of white (data.mask_threshold=auto)\n"
        f"marked      {100 * 500 / (2 * 64 * 64):.2g}% of the pixels of their images; smallest 100 "
        "pixels (test/spot/0.png), largest 400 pixels (test/spot/1.png)\n"
    ) in found.text
    assert found.text.endswith("no problems") and "remarks" not in found.text


@pytest.mark.parametrize(
    ("write", "highest"),
    [
        (as_values(0, 1, 1), "1"),
        (as_values(0, 1, 2), "2"),
        (as_colours((0, 0, 0), (255, 0, 0), (255, 0, 0)), "76"),
        (as_palette((255, 255, 255), (255, 0, 0), (0, 0, 255)), "2"),
        (as_values(0, 255, 255, dtype=np.uint16), "255 of 16 bits"),
    ],
)
def test_masks_that_are_all_empty_at_half_are_one_problem(root, write, highest):
    write_masks(root, write)
    found = inspect(root, mask_threshold="half")
    assert found.problems == [
        "No mask marks a pixel at data.mask_threshold=half: the highest value is "
        f"{highest}; set data.mask_threshold=any."
    ]
    assert "no problems" not in found.text and "remarks" not in found.text
    for setting in ("auto", "any", 1):
        found = inspect(root, mask_threshold=setting)
        assert found.problems == [] and "100 pixels" in found.text and "400 pixels" in found.text
    assert main(["inspect", "--config", "configs/mvtec_wrn50.py:tile"] + [
        f"--config.data.{one}" for one in (f"root={root}", "image_size=64", "mask_threshold=half")
    ]) == 2  # fmt: skip


def test_all_black_masks_are_one_problem(root):
    write_masks(root, as_values(0, 0, 0))
    (problem,) = inspect(root).problems
    assert problem.startswith("Every mask is black (the highest value is 0); mark the defects")


def test_a_class_under_the_threshold_is_remarked(root):
    write_masks(root, as_values(0, 100, 200))
    text = inspect(root, mask_threshold="half").text
    assert "20% of the marked pixels have values under 128, most often 100 (such as in " in text
    assert "set data.mask_threshold=any if they are defects too." in text
    assert "under 128" not in inspect(root).text
    assert "values      0, 100, 200; defective: 1 or more (data.mask_threshold=auto)" in (
        inspect(root).text
    )


def test_inverted_masks_are_named(root):
    write_masks(root, as_values(255, 0, 0))
    assert (
        "2 masks mark more than half of their image (test/spot/0.png, test/spot/1.png); invert "
        "them if the defects are black in them."
    ) in inspect(root).text


def turn(path: Path, orientation: int) -> None:
    """Gives a file an EXIF orientation, its stored pixels unchanged."""
    with Image.open(path) as image:
        image.load()
        exif = image.getexif()
        exif[ExifTags.Base.Orientation] = orientation
        image.save(path, exif=exif)


@pytest.mark.parametrize(("file", "orientation"), [("image", 6), ("image", 3), ("mask", 8)])
def test_square_images_whose_masks_may_be_turned(root, file, orientation):
    write_masks(root, as_values(0, 255, 255))
    image, mask = root / "tile/test/spot/1.png", root / "tile/ground_truth/spot/1_mask.png"
    assert "EXIF" not in inspect(root).text
    turn({"image": image, "mask": mask}[file], orientation)
    of = (orientation, 1) if file == "image" else (1, orientation)
    assert (
        "The EXIF orientation of 1 of the images differs from that of the mask, such as of "
        f"{image} (orientation {of[0]}, of the mask {of[1]}; 1 is upright), and the sizes do "
        "not show whether the masks are turned; look at them with --output, and if they are, set "
        "data.mask_orientation=image."
    ) in inspect(root).text
    for setting in ("image", "upright"):
        assert "EXIF" not in inspect(root, mask_orientation=setting).text
    turn({"image": mask, "mask": image}[file], orientation)
    assert "EXIF" not in inspect(root).text


def test_sizes_that_show_it_are_a_problem_or_nothing(root):
    write_masks(root, as_values(0, 255, 255))
    for path in root.rglob("*.png"):
        with Image.open(path) as image:
            image.crop((0, 0, 64, 40)).save(path)
    image = root / "tile/test/spot/1.png"
    for path in root.rglob("*.png"):
        if "ground_truth" not in path.parts and path != image:
            with Image.open(path) as other:
                other.transpose(Image.Transpose.ROTATE_270).save(path)
    turn(image, 6)
    with Image.open(root / "tile/ground_truth/spot/0_mask.png") as mask:
        mask.transpose(Image.Transpose.ROTATE_270).save(root / "tile/ground_truth/spot/0_mask.png")
    (problem,) = inspect(root).problems
    assert "because the image is turned by its EXIF orientation 6 and the mask is not; set " in (
        problem
    )
    with Image.open(root / "tile/ground_truth/spot/1_mask.png") as mask:
        mask.transpose(Image.Transpose.ROTATE_270).save(root / "tile/ground_truth/spot/1_mask.png")
    found = inspect(root)
    assert found.problems == [] and "EXIF" not in found.text  # an upright mask, as sizes show
