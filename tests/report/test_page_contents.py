"""Texts and rows of the report page."""

import numpy as np

from rdvar_jax.report.page import contents

ROWS = [
    {"path": "a", "label": 0, "defect": "good", "score": 0.1},
    {"path": "b", "label": 0, "defect": "good", "score": 0.6},
    {"path": "c", "label": 1, "defect": "cut", "score": 0.5},
    {"path": "d", "label": 1, "defect": "cut", "score": 0.9},
    {"path": "e", "label": 1, "defect": "blob", "score": 0.8},
]
PICTURES = [{"row": row, "image": "", "heat": "", "outline": None} for row in (2, 4, 1, 0)]


def test_every_metric_has_a_value_or_is_undefined():
    rows = contents.metric_rows({"image_auroc": 0.98765, "aupro": None})
    assert [row["value"] for row in rows[:3]] == ["0.988", "undefined", "undefined"]
    assert all(row["meaning"].endswith(".") for row in rows)


def test_a_score_equal_to_the_threshold_is_not_called_defective():
    table = contents.defect_rows(ROWS, 0.5, {"cut": 0.75, "blob": 1.0})
    assert [row["kind"] for row in table] == ["good", "blob", "cut"]
    assert [row["flagged"] for row in table] == ["1 of 2", "1 of 1", "1 of 2"]
    assert [row["auroc"] for row in table] == ["–", "1.000", "0.750"]
    assert (table[2]["lowest"], table[2]["median"], table[2]["highest"]) == ("0.5", "0.7", "0.9")
    # 0.1 as float32 is over 0.1 as float64: both have to be float32.
    tie = np.float32(0.1)
    row = {"label": 0, "defect": "good", "score": float(tie)}
    assert contents.defect_rows([row], 0.1, {})[0]["flagged"] == "0 of 1"
    assert contents.defect_rows(ROWS, None, {})[0]["flagged"] == "–"


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


def test_words_of_a_threshold():
    stored = {"split": "input", "num_images": 60, "fpr_bound": 0.0487, "confidence": 0.95}
    words = contents.threshold_words(stored)
    assert "60 good images that were not trained on" in words
    assert "At most 4.87 % of new good images" in words and "confidence 95 %" in words
    stored = {"split": "train", "num_images": 9, "fpr_bound": None, "confidence": None}
    assert "Nothing is guaranteed" in contents.threshold_words(stored)


def test_losses_of_epochs_and_of_the_steps_of_a_short_run():
    def line(kind, epoch):
        return {"kind": kind, "step": 1, "epoch": epoch, "loss_model": 2.0 * epoch, "loss_var": 0.1}

    epochs = [line("epoch", e) for e in (1, 2, 3)]
    steps = [line("train", e / 4) for e in range(1, 13)]
    assert contents.loss_curves([*steps, *epochs])["loss_model"] == ([1, 2, 3], [2, 4, 6])
    assert len(contents.loss_curves([*steps, *epochs[:1]])["loss_var"][0]) == 12
    assert contents.loss_curves([{"kind": "evaluation", "step": 1, "epoch": 1}]) == {}
