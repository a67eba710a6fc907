"""`rdvar prepare` as functions."""

import shutil
from pathlib import Path

from rdvar_jax.commands import prepare
from rdvar_jax.data.sets.folder import find_category
from rdvar_jax.data.sets.tfds_read import find_packed
from rdvar_jax.synthetic import CATEGORIES


def test_a_drawn_set_is_what_was_asked_for(tmp_path, monkeypatch):
    """With few images: how they are drawn has tests of its own."""
    generate = prepare.generate
    few = {"num_train": 1, "num_test_good": 1, "num_per_defect": 0, "progress": False}
    monkeypatch.setattr(prepare, "generate", lambda *args, **more: generate(*args, **more, **few))
    for name, seed in (("a", 3), ("b", 4)):
        assert prepare.draw_set(tmp_path / name, size=32, seed=seed) == CATEGORIES
    for category in CATEGORIES:
        first, other = (
            find_category(tmp_path / name, category).train[0].path.read_bytes() for name in "ab"
        )
        assert first != other


def test_folders_become_tfds_sets(toy_root, tmp_path, monkeypatch):
    shutil.copytree(toy_root, tmp_path / "folders")
    monkeypatch.chdir(tmp_path)  # TFDS would take relative paths for others
    made = prepare.make_tfds_sets(Path("folders"), Path("sets"), ["tile"])
    assert all(folder.is_absolute() and folder.is_dir() for folder in made)
    packed, folder = find_packed(tmp_path / "sets", "tile"), find_category(toy_root, "tile")
    assert [record.name for record in packed.train] == [record.name for record in folder.train]
    assert prepare.make_tfds_sets(Path("folders"), Path("sets"), ["tile"]) == made
