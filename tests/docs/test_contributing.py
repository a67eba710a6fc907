"""The files that CONTRIBUTING.md sends to are there."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PLACES = (".", "rdvar_jax", "rdvar_jax/data/sets/layouts", "rdvar_jax/data/sets")
PAGE = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTION = PAGE.split("## Where a new ... goes\n")[1]
FILES = set(re.findall(r"`([\w/]+\.py|[\w/]+/)`", SECTION)) - {"commands/NAME.py", "cli/NAME.py"}


def test_the_section_is_read():
    assert len(FILES) > 20


@pytest.mark.parametrize("name", sorted(FILES))
def test_each_file_is_there(name):
    assert any((REPOSITORY / place / name).exists() for place in PLACES)
