"""Images left out by name or pattern: literally first."""

from pathlib import Path

import pytest

from rdvar_jax.data.sets.excluded import exclude
from rdvar_jax.data.sets.inputs import InputImage
from rdvar_jax.errors import DataError


def images(*names: str) -> list[InputImage]:
    return [InputImage(Path("in") / name, name) for name in names]


@pytest.mark.parametrize(
    ("patterns", "left_out"),
    [
        ([], ()),
        (["a.png"], ("a.png",)),
        (["sub/a.png"], ("sub/a.png",)),
        (["in/sub/a.png"], ("sub/a.png",)),
        (["c.png"], ("sub/c.png",)),
        (["a[1].png"], ("a[1].png",)),
        (["a[[]1].png"], ("a[1].png",)),
        (["a?.png"], ("a1.png",)),
        (["sub/*", "a1.png"], ("a1.png", "sub/a.png", "sub/c.png")),
        (["*/a.png"], ("a.png", "sub/a.png")),  # as paths: in/a.png, in/sub/a.png
        (["a.png", "a.png"], ("a.png",)),
    ],
)
def test_names_and_patterns(patterns, left_out):
    given = images("a.png", "a1.png", "a[1].png", "sub/a.png", "sub/c.png")
    kept, found = exclude(given, patterns)
    assert found == left_out
    assert kept == [image for image in given if image.name not in left_out]


def test_a_pattern_without_a_match_is_refused_with_near_names():
    given = images("part_017.png", "part_018.png", "other.png")
    with pytest.raises(DataError, match=r"--exclude part_17.png matches none of the 3") as error:
        exclude(given, ["part_017.png", "part_17.png"])
    assert "near names: part_017.png" in str(error.value)
    with pytest.raises(DataError, match=r"their names are such as part_017.png"):
        exclude(given, ["*.zzzzzzzzzzzzzzzz"])


def test_something_must_be_left():
    with pytest.raises(DataError, match="leaves out all 2 good images"):
        exclude(images("a.png", "b.png"), ["*"])
