"""What the operator's page asks for: its files, labels, pictures and drift."""

import json

import numpy as np
import pytest
from PIL import Image
from running import form, png, running_with_page

from rdvar_jax.data.sets.feedback import find_feedback
from rdvar_jax.data.sets.photos import find_photos
from rdvar_jax.errors import DataError
from rdvar_jax.server.judging.part import load_parts
from rdvar_jax.serving.detector import Detector


@pytest.fixture
def paged(parts, tmp_path):
    with running_with_page(parts, tmp_path / "feedback") as found:
        yield found


def label(paged, id, value):
    return paged.send("POST", f"/verdicts/{id}/feedback", json.dumps({"label": value}))


def test_the_page_needs_nothing_from_elsewhere(paged):
    page = paged.get("/")
    assert page.status == 200 and page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for path, kind in (("style.css", "css"), ("page.css", "css"), ("page.js", "javascript")):
        found = paged.get(f"/page/{path}")
        assert found.status == 200 and kind in found.headers["content-type"]
        assert f'"/page/{path}"' in page.body.decode()


def test_a_label_keeps_the_file_and_can_be_changed_and_taken_back(paged, files, tmp_path):
    kept = tmp_path / "feedback" / "part"
    first, second = (paged.predict(file).json["id"] for file in files[:2])
    assert label(paged, first, "good").json == {"id": first, "label": "good"}
    assert [path.read_bytes() for path in (kept / "good").iterdir()] == [files[0]]
    label(paged, first, "defective")
    label(paged, second, "good")
    assert [path.read_bytes() for path in (kept / "good").iterdir()] == [files[1]]
    assert [path.read_bytes() for path in (kept / "defective").iterdir()] == [files[0]]
    assert paged.get("/feedback").json == {
        "kept": True,
        "labels": {str(first): "defective", str(second): "good"},
    }
    label(paged, first, None)
    assert list((kept / "defective").iterdir()) == []
    assert paged.get("/feedback").json["labels"] == {str(second): "good"}


def test_labelled_images_are_photographs_to_train_on(paged, files, tmp_path):
    for index, file in enumerate(files):
        name = ("no suffix", "..", "a/../b.png", "ä ö?.PNG")[index % 4]
        body, kind = form((name, file))
        id = paged.send("POST", "/predict", body, Content_Type=kind).json["id"]
        label(paged, id, "good" if index < 6 else "defective")
    good, defective = find_feedback(tmp_path / "feedback" / "part")
    found = find_photos(good, defective)
    assert (len(found.train), len(found.test)) == (6, 2)
    for record in found.train:
        with Image.open(record.path) as image:
            assert image.size == (48, 40)
    with pytest.raises(DataError, match="give one of them, such as .*part"):
        find_feedback(tmp_path / "feedback")
    with pytest.raises(DataError, match="holds no labelled images"):
        find_feedback(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "body, status",
    [
        ("no json", 400),
        ("[]", 400),
        ('{"label": "perfect"}', 400),
        ('{"label": ["good"]}', 400),
        ("{}", 400),
        ("[" * 900, 400),
        ("x" * 2000, 413),
    ],
)
def test_other_labels_are_refused(paged, files, body, status):
    id = paged.predict(files[0]).json["id"]
    refused = paged.send("POST", f"/verdicts/{id}/feedback", body)
    assert refused.status == status and refused.sentence.endswith(".")


def test_labels_need_a_folder_and_a_verdict(paged, parts, files):
    assert label(paged, 999, "good").status == 404
    with running_with_page(parts, None) as without:
        id = without.predict(files[0]).json["id"]
        assert without.get("/feedback").json == {"kept": False, "labels": {}}
        refused = label(without, id, "good")
        assert refused.status == 404 and "--feedback" in refused.sentence


def test_overlays_have_the_size_of_the_image(paged, files):
    id = paged.predict(files[0]).json["id"]
    found = paged.get(f"/verdicts/{id}/overlay.png")
    assert found.headers["content-type"] == "image/png"
    assert found.body == paged.predict(files[0], Accept="image/png").body


def test_drift_is_told_of_parts_whose_threshold_has_scores(make_bundle, pictures, tmp_path):
    scores = Detector.load(make_bundle(tmp_path / "bare.rdvar")).predict(pictures).scores
    good = np.resize(scores, 40).tolist()
    make_bundle(tmp_path / "known.rdvar", {"threshold": 1.0, "good_scores": good})
    make_bundle(tmp_path / "other.rdvar", {"threshold": 1.0, "good_scores": [9.0] * 40})
    names = "bare", "known", "other"
    parts = load_parts([tmp_path / f"{name}.rdvar" for name in names], 8)
    with running_with_page(parts, None) as paged:
        assert paged.get("/drift").json["parts"]["known"]["words"] == "no scores yet"
        for index in range(24):
            for name in names:
                paged.predict(png(pictures[index % 8]), f"?part={name}")
        found = paged.get("/drift").json["parts"]
    assert [found[name]["has_changed"] for name in names] == [None, False, True]
    assert "export it again" in found["bare"]["words"]
    assert "defects may be missed" in found["other"]["words"]
