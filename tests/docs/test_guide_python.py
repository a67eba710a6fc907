"""The blocks of docs/guide_python.md as one script, and those of README, on smaller images."""

import re
from pathlib import Path

import jax
import matplotlib
import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
# What makes the page's minutes seconds.
SMALLER = {
    '"resnet18", weights="procedural"': '"basic-1-1-1-ocbe1", weights="random", stem_width=4',
    "stem_width=32": "stem_width=4",
    "size=64, num_train=40": "size=32, num_train=8",
    "num_test_good=10, num_per_defect=5": "num_test_good=4, num_per_defect=1",
    "image_size=64": "image_size=32",
    "epochs=20": "epochs=2",
}
# What README's lines are given in place of MVTec AD and a teacher that must be downloaded.
AT_HAND = {
    "mvtec/screw": "parts/cloth",
    "image_size=256": "image_size=32",
    '"wide_resnet50_2", weights="imagenet"': SMALLER['"resnet18", weights="procedural"'],
    "epochs=200, batch_size=16": "epochs=2, batch_size=8",
    "a.png": "parts/cloth/test/good/000.png",
}


def python_blocks(page: str) -> list[str]:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def replaced(script: str, replacements: dict[str, str]) -> str:
    for text, other in replacements.items():
        assert text in script, f"the page no longer has {text!r}"
        script = script.replace(text, other)
    return script


@pytest.fixture(scope="module")
def guide(tmp_path_factory):
    """Folder that the script ran in, and its names."""
    folder = tmp_path_factory.mktemp("guide")
    script = replaced("".join(python_blocks("docs/guide_python.md")), SMALLER)
    names = run(script, folder)
    return folder, names


def run(script: str, folder: Path) -> dict:
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names: dict = {"__name__": "guide"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(compile(script, "guide_python.md", "exec"), names)
    plt.close("all")
    return names


def test_each_picture_of_the_page_is_made(guide):
    folder, _ = guide
    page = (REPOSITORY / "docs" / "guide_python.md").read_text(encoding="utf-8")
    pictures = re.findall(r"\(images/(.*?\.png)\)", page)
    assert len(pictures) == 3
    for picture in pictures:
        assert (folder / picture).read_bytes().startswith(b"\x89PNG"), picture
        assert (REPOSITORY / "docs" / "images" / picture).stat().st_size < 100_000


def test_the_own_loss_is_five_lines_and_changes_the_result(guide):
    _, names = guide
    (function,) = re.findall(
        r"^def hardest\(.*?\n(?=\n)",
        "".join(python_blocks("docs/guide_python.md")),
        flags=re.DOTALL | re.MULTILINE,
    )
    assert function.count("\n") == 5
    own, fitted = names["own"], names["fitted"]
    assert set(own.losses[0]) == {"step", "epoch", "loss", "all_places", "grad_norm"}
    # The tenth that is known worst is further away than all places are on average.
    assert own.losses[0]["loss"] > own.losses[0]["all_places"]
    leaves = [jax.tree.leaves(each.model.student_variables["params"]) for each in (own, fitted)]
    assert not all(np.array_equal(x, y) for x, y in zip(*leaves, strict=True))
    assert not np.array_equal(names["own_result"].scores, names["result"].scores)


def test_the_own_student_learns_its_centre(guide):
    _, names = guide
    centred = names["centred"]
    assert set(centred.losses[0]) >= {"loss_model", "loss_var", "loss_centre"}
    before, after = (
        model.student_variables["params"]["centre"]
        for model in (names["centred_model"].with_new_student(0), centred.model)
    )
    assert before.shape == after.shape and not np.allclose(before, after, atol=1e-4)


def test_three_lambdas_are_swept(guide):
    _, names = guide
    lambdas, aurocs, variances = zip(*names["sweep"], strict=True)
    assert lambdas == (0.0, 1.0, 10.0)
    assert all(0 <= value <= 1 for value in aurocs)
    assert variances[2] < variances[1] < variances[0]


def test_the_run_and_the_ported_model_score_as_the_model_does(guide):
    _, names = guide
    scores = names["result"].scores
    assert len(np.unique(scores)) == len(scores) == 9
    np.testing.assert_allclose(names["predicted"].scores, scores, rtol=1e-5)
    np.testing.assert_allclose(names["ported_scores"], scores, rtol=1e-5)
    assert names["predicted"].verdicts.sum() == 4  # above the median of nine


def test_the_lines_of_readme_are_true(guide):
    folder, names = guide
    (script,) = [block for block in python_blocks("README.md") if "fit(" in block]
    assert script.count("\n") <= 10
    readme = run(replaced(script, AT_HAND), folder)
    # The same settings as the guide's first training.
    np.testing.assert_array_equal(readme["result"].scores, names["result"].scores)
    assert readme["result"].maps.shape == (9, 32, 32)
    assert readme["found"].scores.shape == (1,) and readme["found"].verdicts is None
    first = [record.name for record in names["parts"].test.records].index("test/good/000.png")
    np.testing.assert_allclose(readme["found"].scores, names["result"].scores[[first]], rtol=1e-5)
