"""Folders of good images under other names than the layout's: asked about, never taken for defects.

No image is opened here, so empty files are enough.
"""

import logging
import shlex
from pathlib import Path

import pytest

from rdvar_jax.cli.settings import Setting, apply_settings
from rdvar_jax.commands.inspect import inspect_set
from rdvar_jax.data.sets.folder import detect_layout, find_category
from rdvar_jax.data.sets.good_names import looks_good
from rdvar_jax.errors import DataError
from rdvar_jax.runs.config import config_from_json, default_config, determining_settings, resolved
from rdvar_jax.runs.data_checks import data_problems

USUAL = (
    "OK Good GOOD normal gut ok pass 0_good good_2 good-2 good2 0-OK ok_images i.O. 良品".split()
    + ["0 good"]
)
DEFECTS = "ko NOK bad not_good n.i.O. hole scratch_good normal_wear color combined 1 _".split()


def lay_out(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def labels(root: Path, *good_names: str, layout: str = "auto") -> dict[str, int]:
    found = find_category(root, "part", layout, good_names=("good", *good_names))
    return {one.name: one.label for one in found.test}


def test_usual_names_are_known_and_those_of_defects_are_none():
    assert [name for name in USUAL if not looks_good(name)] == []
    assert [name for name in DEFECTS if looks_good(name)] == []


@pytest.mark.parametrize("with_masks", [True, False])
@pytest.mark.parametrize("beside", [True, False], ids=["beside good", "alone"])
@pytest.mark.parametrize("layout", ["mvtec", "folder", "btad"])
@pytest.mark.parametrize("name", [name for name in USUAL if name != "ok"])
def test_a_folder_that_looks_good_is_asked_about(
    tmp_path: Path, name: str, layout: str, beside: bool, with_masks: bool
):
    own = "ok" if layout == "btad" else "good"
    lay_out(tmp_path, f"part/train/{own}/0.png", f"part/test/{name}/0.png", "part/test/hole/1.png")
    if beside:
        lay_out(tmp_path, f"part/test/{own}/2.png")
    if with_masks:
        ending = "" if layout == "btad" else "_mask"
        lay_out(tmp_path, f"part/ground_truth/hole/1{ending}.png")
    with pytest.raises(DataError) as caught:
        labels(tmp_path, layout=layout)
    assert str(caught.value) == (
        f"{tmp_path}/part/test/{name} looks like good images; set data.good_names="
        f"{shlex.quote(f'good,{name}')} if it is, else rename it."
    )
    expected = {f"test/{name}/0.png": 0, "test/hole/1.png": 1}
    assert labels(tmp_path, name, layout=layout) == {
        **expected,
        **({f"test/{own}/2.png": 0} if beside else {}),
    }


def test_several_are_named_in_one_sentence_and_the_rest_is_still_found(tmp_path: Path):
    lay_out(
        tmp_path,
        *("part/train/good/0.png", "part/test/OK/0.png", "part/test/good_2/0.png"),
        *("part/test/hole/1.png", "part/ground_truth/hole/1_mask.png", "part/test/hole/2.png"),
        "part/ground_truth/OK/0_mask.png",
    )
    problems: list[str] = []
    find_category(tmp_path, "part", complain=problems.append)
    assert "part/test/hole/2.png has no mask" in problems[0]
    assert problems[1:] == [
        f"{tmp_path}/part/test/OK, good_2 look like good images; set "
        "data.good_names=good,OK,good_2 if they are, else rename them."
    ]


def test_defects_and_empty_folders_are_not_asked_about(tmp_path: Path):
    lay_out(tmp_path, "part/train/good/0.png", *(f"part/test/{name}/0.png" for name in DEFECTS))
    (tmp_path / "part/test/OK").mkdir()
    assert set(labels(tmp_path).values()) == {1}


@pytest.mark.parametrize(
    ("place", "layout", "reason"),
    [("train/OK", "mvtec", "it has train"), ("OK", "folder", "it has OK and no train")],
)
def test_training_images_under_another_name(tmp_path: Path, place: str, layout: str, reason: str):
    lay_out(tmp_path, f"part/{place}/1.png", "part/test/OK/0.png", "part/test/hole/0.png")
    with pytest.raises(DataError, match=r"OK looks like good images; set data.good_names=good,OK"):
        find_category(tmp_path, "part")
    assert detect_layout(tmp_path / "part", ("good", "OK")) == (layout, reason)
    found = find_category(tmp_path, "part", good_names=("good", "OK"))
    assert [one.name for one in found.train] == [f"{place}/1.png"]
    assert [one.label for one in found.test] == [0, 1]
    lay_out(tmp_path, f"part/{place.replace('OK', 'good')}/2.png")
    found = find_category(tmp_path, "part", good_names=("good", "OK"))
    assert {one.name for one in found.train} == {
        f"part/{place}/1.png".removeprefix("part/"),
        f"{place.replace('OK', 'good')}/2.png",
    }


def test_more_good_images_beside_train_good_are_named(tmp_path: Path, caplog):
    lay_out(tmp_path, "part/train/good/0.png", "part/train/good_2/0.png", "part/test/good/0.png")
    with caplog.at_level(logging.WARNING, "rdvar_jax"):
        assert len(find_category(tmp_path, "part").train) == 1
    assert "train/good_2 looks like good images; set data.good_names=good,good_2" in caplog.text
    assert len(find_category(tmp_path, "part", good_names=("good", "good_2")).train) == 2


def test_the_setting_reaches_inspect_and_a_run_saved_without_it_goes_on(tmp_path: Path):
    lay_out(tmp_path, "part/train/good/0.png", "part/test/OK/0.png")
    config = default_config()
    config.data.update(root=str(tmp_path), category="part")
    assert any("data.good_names=good,OK if it is" in one for one in inspect_set(config).problems)
    saved = config.to_json().replace('"good_names": ["good"], ', "")
    assert "good_names" not in saved
    apply_settings(config, [Setting("data.good_names", "good, OK")])
    assert not any("data.good_names" in one for one in inspect_set(config).problems)
    assert resolved(config).data.good_names == ("good", "OK")
    before = config_from_json(saved)
    assert before.data.good_names == ("good",)
    assert determining_settings(resolved(before)) == determining_settings(resolved(config))


def test_a_path_is_not_a_name():
    config = default_config()
    config.data.good_names = ("good", "test/OK")
    (problem,) = data_problems(config)
    assert "data.good_names=good,test/OK must hold names of folders" in problem
    assert problem.endswith("use OK for test/OK.")
