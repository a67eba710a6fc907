"""Bad files and sets: the error message of each, or the warning where it is accepted.

The rows are in bad_images.py, bad_sets.py and odd_sets.py. docs/data.md tells users the same.
"""

import logging
import os
from pathlib import Path

import pytest
from bad_images import BAD_IMAGES, NOT_LISTED
from bad_sets import BAD_SETS, WHOLE, lay_out
from image_writers import S
from odd_sets import ODD_SETS

from rdvar_jax.commands.inspect import Inspection, inspect_set
from rdvar_jax.data.loading.arrays import TestSet, TrainSet, load_test, load_train
from rdvar_jax.data.pixels.decode import decode_image, decode_mask
from rdvar_jax.data.pixels.image_file import image_dimensions
from rdvar_jax.data.sets.folder import find_category
from rdvar_jax.errors import DataError
from rdvar_jax.runs.config import default_config

# The least that the networks take, and so rdvar inspect.
SIZE = 32


def load(
    root: Path, category: str, layout: str = "auto", size: int = S
) -> tuple[TrainSet, TestSet]:
    """The set as training and evaluation take it."""
    found = find_category(root, category, layout)
    return load_train(found, size), load_test(found, size)


def inspect(root: Path, category: str, layout: str = "auto") -> Inspection:
    config = default_config()
    config.data.update(root=str(root), category=category, layout=layout, image_size=SIZE)
    return inspect_set(config)


def check_sentence(message: str, *parts: str):
    for part in parts:
        assert part in message, message
    assert message.endswith(".") and message.isprintable()
    assert message.count(". ") == 0, "one sentence"


@pytest.mark.parametrize("name", {**BAD_IMAGES, **NOT_LISTED})
def test_each_bad_file_has_its_own_sentence(tmp_path: Path, name: str):
    make, says, mend = {**BAD_IMAGES, **NOT_LISTED}[name]
    path = tmp_path / name
    make(path)
    for read in (lambda: decode_image(path, S), lambda: decode_mask(path, S, None)):
        with pytest.raises(DataError) as caught:
            read()
        check_sentence(str(caught.value), str(path).split("\n")[0], *says, mend)


@pytest.mark.parametrize("name", ["empty.png", "text.png", "script.png", "pipe.png", *NOT_LISTED])
def test_dimensions_of_a_bad_file(tmp_path: Path, name: str):
    make, says, mend = {**BAD_IMAGES, **NOT_LISTED}[name]
    make(tmp_path / name)
    with pytest.raises(DataError) as caught:
        image_dimensions(tmp_path / name)
    check_sentence(str(caught.value), str(tmp_path / name), *says, mend)


@pytest.mark.parametrize("name", BAD_IMAGES)
@pytest.mark.parametrize("role", ["image", "mask"])
def test_each_bad_file_in_a_set(tmp_path: Path, name: str, role: str):
    lay_out(tmp_path, *WHOLE)
    make, says, mend = BAD_IMAGES[name]
    if role == "image":
        make(tmp_path / "widget/train/good" / name)
    else:
        folder, suffix = tmp_path / "widget/ground_truth/hole", Path(name).suffix
        (folder / "001_mask.png").unlink()
        if os.path.lexists(made := folder / f"001_mask{suffix}"):
            made.unlink()
        make(made)
        says = [part.replace("gone.png", "gone") for part in says if "'c'" not in part]
    with pytest.raises(DataError) as caught:
        load(tmp_path, "widget")
    check_sentence(
        str(caught.value), "widget", *(part for part in says if "gone" not in part), mend
    )
    assert inspect(tmp_path, "widget").problems == [str(caught.value)]


@pytest.mark.parametrize("case", BAD_SETS)
def test_each_bad_set_has_its_own_sentence(tmp_path: Path, case: str):
    row = BAD_SETS[case]
    lay_out(tmp_path, *row.base)
    row.change(tmp_path)
    with pytest.raises(DataError) as caught:
        load(tmp_path, row.category, row.layout, SIZE)
    parts = [part.format(root=tmp_path) for part in (*row.named, row.mend)]
    check_sentence(str(caught.value), *parts)
    # rdvar inspect says the same, and may say more.
    assert str(caught.value) in inspect(tmp_path, row.category, row.layout).problems


@pytest.mark.parametrize("case", ODD_SETS)
def test_each_odd_set_is_read(tmp_path: Path, case: str, caplog: pytest.LogCaptureFixture):
    row, root = ODD_SETS[case], tmp_path / "root"
    lay_out(root, *row.base)
    row.change(root)
    with caplog.at_level(logging.WARNING, "rdvar_jax"):
        train, test = load(root, row.category)
    assert (len(train.images), len(test.images)) == (row.num_train, row.num_test)
    if row.num_test:
        assert tuple(test.undefined) == row.undefined
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == bool(row.warned), warnings
    assert all(part in warnings[0] for part in row.warned)
    found = inspect(root, row.category)
    assert found.problems == []
    assert all(f"  - {warning}" in found.text.splitlines() for warning in warnings)
