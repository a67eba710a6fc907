"""Hashes of decoded images: equal for the same pixels alone."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from rdvar_jax.data.pixels.decode import decode_image
from rdvar_jax.data.pixels.image_hash import DETAIL_BYTES, hash_image, hash_images


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def test_a_renamed_copy_and_another_lossless_file_have_the_same_hash(pixels, tmp_path):
    names = ("a.png", "b.png", "a.bmp", "a.tif")
    for name in names:
        Image.fromarray(pixels).save(tmp_path / name)
    found = {hash_image(decode_image(tmp_path / name, 32)) for name in names}
    assert len(found) == 1


def test_one_value_and_the_shape_change_the_sha256(pixels):
    other = pixels.copy()
    other[3, 5, 1] ^= 1
    turned = pixels.reshape(32, 128, 3)
    assert len({hash_image(one).sha256 for one in (pixels, other, turned)}) == 3
    expected = hashlib.sha256(b"(64, 64, 3)" + pixels.tobytes()).hexdigest()
    assert hash_image(pixels).sha256 == expected


def test_the_bits_compare_neighbours(pixels):
    grey = np.asarray(Image.fromarray(pixels).convert("L")).astype(int)
    bits = np.unpackbits(np.frombuffer(hash_image(pixels).detail, np.uint8))
    right, below = bits[: 64 * 63].reshape(64, 63), bits[64 * 63 :].reshape(63, 64)
    assert np.array_equal(right, np.diff(grey, axis=1) > 0)
    assert np.array_equal(below, np.diff(grey, axis=0) > 0)
    assert len(hash_image(pixels).detail) == DETAIL_BYTES == 1008


def test_many_are_hashed_in_their_order(pixels):
    images = np.stack([pixels, pixels[::-1], pixels[:, ::-1]])
    assert hash_images(images) == tuple(map(hash_image, images))
    assert hash_images(images[:0]) == ()
