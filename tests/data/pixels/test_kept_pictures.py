"""Pictures kept from scoring to drawing."""

import numpy as np
from PIL import Image

from rdvar_jax.data.pixels.decode import decode_file, decode_original
from rdvar_jax.data.pixels.geometry import Geometry
from rdvar_jax.data.pixels.kept_pictures import KeptPictures


def test_a_kept_picture_is_what_is_decoded_again(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # on its side
    Image.fromarray(rng.integers(0, 256, (20, 30), np.uint8)).save(path, exif=exif)
    kept = KeptPictures()
    geometry = Geometry("squash", 8, 8)
    pixels, facts = decode_file(path, geometry, kept)
    assert np.array_equal(pixels, decode_file(path, geometry)[0])
    found = kept.take(path)
    assert found is not None and found.size_wh == facts.size_wh == (20, 30)
    assert np.array_equal(found.pixels, decode_original(path))
    assert kept.take(path) is None


def test_pixels_are_kept_only_as_far_as_there_is_room(tmp_path):
    picture = Image.new("RGB", (10, 10))
    paths = [tmp_path / str(index) for index in range(4)]
    kept = KeptPictures(700)  # two of 300 bytes
    for path in paths[:3]:
        kept.put(path, picture)
    one, two = kept.take(paths[2]), kept.take(paths[0])
    assert one is not None and one.pixels is None and one.size_wh == (10, 10)
    assert two is not None and two.pixels is not None
    kept.put(paths[3], picture)  # where the first was
    four = kept.take(paths[3])
    assert four is not None and four.pixels is not None
