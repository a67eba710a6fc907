"""Training images are found again in copies, and other photographs of like parts are not."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdvar_jax.data.loading.copies import LIMIT, MANY, Copy, TrainedImages
from rdvar_jax.data.pixels.image_hash import ImageHash, hash_image

SIDE = 256


def draw_parts(number: int) -> list[Image.Image]:
    """Draws aligned parts: the same disc and bars, with a texture of each part's own."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    part = 90 + 80 * (np.hypot(rows - 128, columns - 128) < 90) + 40 * (columns % 64 < 12)
    textures = rng.normal(0, 40, (number, SIDE, SIDE))
    for axis in (1, 2):
        textures = (textures + np.roll(textures, 1, axis) + np.roll(textures, 2, axis)) / 3
    parts = np.clip(part + textures, 0, 255).astype(np.uint8)
    return [Image.fromarray(one).convert("RGB") for one in parts]


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def resized(image: Image.Image, factor: float) -> Image.Image:
    width, height = image.size
    return image.resize((round(width * factor), round(height * factor)), Image.Resampling.BICUBIC)


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG of quality 90": lambda image: as_jpeg(image, 90),
    "JPEG of quality 75": lambda image: as_jpeg(image, 75),
    "half the size": lambda image: resized(image, 0.5),
    "0.7 of the size": lambda image: resized(image, 0.7),
    "twice the size": lambda image: resized(image, 2),
    "a tenth brighter": lambda image: image.point(lambda value: min(255, value * 11 // 10)),
    "darker by 15": lambda image: image.point(lambda value: max(0, value - 15)),
    "cropped by a hair": lambda image: image.crop((1, 1, image.width, image.height)),
}


def hashed(image: Image.Image, side: int) -> ImageHash:
    """Hashes an image at the size of the networks' inputs, as a command does."""
    return hash_image(np.asarray(image.resize((side, side), Image.Resampling.BILINEAR)))


def known(images: list[Image.Image], side: int) -> TrainedImages:
    names = [f"{index:03}.png" for index in range(len(images))]
    return TrainedImages(names, [hashed(image, side) for image in images])


@pytest.fixture(scope="module")
def parts() -> list[Image.Image]:
    return draw_parts(60)


@pytest.mark.parametrize("kind", COPIES)
@pytest.mark.parametrize("number", [10, 40])
def test_a_copy_is_found_under_its_name(parts, kind, number):
    trained = known(parts[:number], SIDE)
    for index in range(0, number, 5):
        found = trained.find(hashed(COPIES[kind](parts[index]), SIDE))
        assert found == Copy(f"{index:03}.png", False)


def test_the_same_pixels_are_found_as_such(parts):
    trained = known(parts[:40], SIDE)
    assert trained.find(hashed(parts[7].copy(), SIDE)) == Copy("007.png", True)
    # One image does not show what is common to others.
    alone = known(parts[:1], SIDE)
    assert alone.find(hashed(parts[0], SIDE)) == Copy("000.png", True)
    assert alone.find(hashed(parts[1], SIDE)) is None


@pytest.mark.parametrize("number", [2, 10, 40])
def test_other_parts_in_the_same_place_are_not_copies(parts, number):
    trained = known(parts[:number], SIDE)
    assert [trained.find(hashed(part, SIDE)) for part in parts[40:]] == [None] * 20
    # Although most of their bits agree: a plain distance would not tell them apart.
    bits = [np.unpackbits(np.frombuffer(one.detail, np.uint8)) for one in trained.hashes]
    new = np.unpackbits(np.frombuffer(hashed(parts[-1], SIDE).detail, np.uint8))
    assert np.mean(bits[0] == new) > 0.55


def test_images_trained_on_twice_are_found_all_the_same(parts):
    trained = known([parts[0], *parts[:40]], SIDE)
    found = trained.find(hashed(as_jpeg(parts[0], 90), SIDE))
    assert found is not None and found.name in ("000.png", "001.png")


def test_images_without_detail_are_told_apart_by_pixels_alone():
    flat = [Image.new("RGB", (SIDE, SIDE), (level, level, level)) for level in range(MANY + 1)]
    trained = known(flat[:MANY], SIDE)
    assert trained.find(hashed(flat[3], SIDE)) == Copy("003.png", True)
    assert trained.find(hashed(flat[MANY], SIDE)) is None


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize(
    "place", ["mvtec_256/leather_tiles", "mvtec_256/screw", "solar_cells/solar_mono"]
)
def test_no_held_out_image_of_a_real_set_is_called_a_copy(shared, place):
    """The measurements of docs/data.md, with every sixth training image copied."""
    folder, side = shared / "data" / place, 256

    def load(path: Path) -> Image.Image:
        return Image.open(path).convert("RGB")

    images = [load(path) for path in sorted((folder / "train/good").iterdir())]
    trained = known(images, side)
    new = [hashed(load(path), side) for path in sorted(folder.glob("test/*/*"))]
    assert len(new) >= 53 and [one for one in map(trained.find, new) if one] == []
    assert max(trained._nearest(one.detail)[1] for one in new) < 0.3 < LIMIT
    for kind, copy in COPIES.items():
        for index in range(0, len(images), 6):
            found = trained.find(hashed(copy(images[index]), side))
            assert found is not None and found.name == f"{index:03}.png", kind
