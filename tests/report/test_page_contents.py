"""Texts and rows of the report page."""

import pytest

from rdvar_jax.report.page import contents

ROWS = [
    {"path": "a", "label": 0, "defect": "good", "score": 0.1},
    {"path": "b", "label": 0, "defect": "good", "score": 0.6},
    {"path": "c", "label": 1, "defect": "cut", "score": 0.5},
    {"path": "d", "label": 1, "defect": "cut", "score": 0.9},
    {"path": "e", "label": 1, "defect": "blob", "score": 0.8},
]
PICTURES = [{"row": row, "image": "", "heat": "", "outline": None} for row in (2, 4, 1, 0)]


def test_metrics_without_a_value_are_left_out():
    rows = contents.metric_rows({"image_auroc": 0.98765, "aupro": None, "image_ap": 0.5})
    assert [(row["name"], row["value"]) for row in rows] == [
        ("Image AUROC", "0.988"),
        ("Image average precision", "0.500"),
    ]
    assert [row["has_card"] for row in rows] == [True, False]
    assert all(row["meaning"].endswith(".") for row in rows)
    assert contents.metric_rows({}) == []


def test_why_metrics_are_missing_is_one_line():
    both = {"image": "there is no good test image", "pixel": "there is no good test image"}
    words = "No image or pixel metrics, since there is no good test image."
    assert contents.undefined_words(both) == words
    words = "No image metrics, since a; no pixel metrics, since b."
    assert contents.undefined_words({"image": "a", "pixel": "b"}) == words
    assert contents.undefined_words({}) is None


def test_scores_of_each_kind():
    table = contents.defect_rows(ROWS, {"cut": 0.75, "blob": 1.0})
    assert [row["kind"] for row in table] == ["good", "blob", "cut"]
    assert [row["auroc"] for row in table] == [None, "1.000", "0.750"]
    assert (table[2]["lowest"], table[2]["median"], table[2]["highest"]) == ("0.5", "0.7", "0.9")


@pytest.mark.parametrize(
    ("weights", "said"),
    [("procedural", "drawn images"), ("random", "untrained"), ("", None), ("/x/random", None)],
)
def test_teachers_for_demonstrations_are_named(weights, said):
    words = contents.demonstration({"teacher": {}}, {"teacher.weights": weights})
    assert words is None if said is None else said in words
    # What the results say counts more than the setting.
    of_results = {"teacher": {"weights": "procedural"}}
    assert "drawn" in contents.demonstration(of_results, {"teacher.weights": weights})


def test_pictures_are_named_by_what_the_threshold_makes_of_them():
    missed, alarms = contents.gallery_parts(PICTURES, ROWS, 0.5)
    assert [(p["path"], p["verdict"], p["error"]) for p in missed["pictures"]] == [
        ("c", "missed", True),
        ("e", "found", False),
    ]
    assert [(p["path"], p["verdict"], p["error"]) for p in alarms["pictures"]] == [
        ("b", "false alarm", True),
        ("a", "passed", False),
    ]
    without = contents.gallery_parts(PICTURES, ROWS, None)
    assert [p["verdict"] for part in without for p in part["pictures"]] == [
        "defective",
        "defective",
        "good",
        "good",
    ]
    unlabelled = [{**row, "label": None, "defect": ""} for row in ROWS]
    (part,) = contents.gallery_parts(PICTURES, unlabelled, 0.5)
    assert [p["verdict"] for p in part["pictures"]][:2] == ["passed", "called defective"]


def test_losses_of_epochs_and_of_the_steps_of_a_short_run():
    def line(kind, epoch):
        return {"kind": kind, "step": 1, "epoch": epoch, "loss_model": 2.0 * epoch, "loss_var": 0.1}

    epochs = [line("epoch", e) for e in (1, 2, 3)]
    steps = [line("train", e / 4) for e in range(1, 13)]
    assert contents.loss_curves([*steps, *epochs])["loss_model"] == ([1, 2, 3], [2, 4, 6])
    assert len(contents.loss_curves([*steps, *epochs[:1]])["loss_var"][0]) == 12
    lines = [{"kind": "epoch", "step": 1, "loss": 1.0}]
    imported, own = {"imported": {"source": "x"}}, {"imported": None, "own_loss": "mine"}
    assert contents.why_no_losses(imported, []) == "the run was imported"
    assert "mine" in contents.why_no_losses(own, lines)
    assert "metrics.jsonl" in contents.why_no_losses(own, [])
    assert contents.loss_curves([{"kind": "evaluation", "step": 1, "epoch": 1}]) == {}
