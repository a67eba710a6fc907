"""The recorder of tests/write_order.py notices what it is for."""

import os

from write_order import WriteOrder

from rdvar_jax.files.replacing import make_folder, publish_folder, sync_folder, write_text


def test_what_is_synced_first_is_fine(tmp_path):
    with WriteOrder(tmp_path) as order:
        write_text(tmp_path / "a", "text")
        (tmp_path / "b" / "c").mkdir(parents=True)
        (tmp_path / "b" / "c" / "d").write_text("text")
        publish_folder(tmp_path / "b", tmp_path / "e")
    assert order.renamed == ["a", "e"] and not order.problems
    assert (tmp_path / "e" / "c" / "d").read_text() == "text"


def test_each_thing_that_is_left_out_is_named(tmp_path):
    with WriteOrder(tmp_path) as order:
        (tmp_path / "b" / "c").mkdir(parents=True)
        (tmp_path / "b" / "c" / "d").write_text("text")
        sync_folder(tmp_path / "b" / "c")
        sync_folder(tmp_path / "b")
        os.replace(tmp_path / "b", tmp_path / "e")
    assert order.problems == [
        "e got its name before d was synced",
        "the name e was not synced",
    ]


def test_new_folders_are_synced_in_their_parents(tmp_path, monkeypatch):
    synced, fsync = [], os.fsync

    def recorded(handle):
        synced.append(os.fstat(handle).st_ino)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", recorded)
    make_folder(tmp_path / "a" / "b")
    assert synced == [path.stat().st_ino for path in (tmp_path / "a", tmp_path)]
    make_folder(tmp_path / "a" / "b")
    assert len(synced) == 2
