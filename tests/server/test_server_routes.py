"""Every route of the server, over real connections."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from running import form

SIZE = 32


def infer_request(images: np.ndarray, **more) -> dict:
    tensor = {
        "name": "images",
        "shape": list(images.shape),
        "datatype": "UINT8",
        "data": images.ravel().tolist(),
    }
    return {"inputs": [tensor], **more}


def test_a_file_is_answered_with_its_verdict(served, detector, files, pictures):
    found = detector.predict(pictures)
    for content, score, is_defective in zip(files, found.scores, found.verdicts, strict=True):
        reply = served.predict(content, "?name=a%20b.png")
        assert reply.status == 200
        verdict = reply.json
        assert verdict["score"] == pytest.approx(float(score), rel=1e-5)
        assert verdict["verdict"] == ("defective" if is_defective else "good")
        assert (verdict["name"], verdict["part"]) == ("a b.png", "part")
        assert (verdict["width"], verdict["height"]) == (48, 40)
        assert verdict["num_regions"] == len(verdict["regions"])
        assert bool(verdict["regions"]) == is_defective


def test_overlay(served, files):
    plain = served.predict(files[0]).json
    assert "overlay" not in plain
    embedded = base64.b64decode(served.predict(files[0], "?overlay=1").json["overlay"])
    reply = served.predict(files[0], Accept="image/png")
    assert reply.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(reply.body)).width >= 48
    assert embedded == reply.body


def test_forms(served, files):
    body, kind = form(("one.png", files[0]), ("two.png", files[1]))
    found = served.predict(body, Content_Type=kind).json["verdicts"]
    assert [one["name"] for one in found] == ["one.png", "two.png"]
    body, kind = form(("one.png", files[0]))
    assert served.predict(body, Content_Type=kind).json["score"] == found[0]["score"]


def test_recent(served, files):
    first = served.predict(files[0]).json
    second = served.predict(files[7]).json
    assert second["id"] > first["id"]
    found = served.get(f"/recent?after={first['id']}").json
    assert found["verdicts"] == [second]
    assert found["last_id"] == second["id"]
    assert found["parts"][0]["name"] == "part"
    for kind in ("plain", "heat"):
        reply = served.get(f"/verdicts/{second['id']}/{kind}.jpg")
        assert reply.headers["content-type"] == "image/jpeg"
        assert max(Image.open(io.BytesIO(reply.body)).size) == 320


def test_infer(served, detector, tiny):
    found = detector.predict(tiny.images)
    reply = served.infer(infer_request(tiny.images, id="x"))
    assert reply.status == 200, reply.body
    outputs = {one["name"]: one for one in reply.json["outputs"]}
    maps = np.array(outputs["maps"]["data"]).reshape(outputs["maps"]["shape"])
    np.testing.assert_allclose(maps, found.maps, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(outputs["scores"]["data"], found.scores, rtol=1e-5)
    assert outputs["verdicts"]["data"] == found.verdicts.tolist()


def test_metrics(served, files):
    served.predict(files[0])
    text = served.get("/metrics").body.decode()
    assert 'rdvar_queue{part="part"} 0.0' in text
    assert 'rdvar_score_count{part="part"}' in text


def test_not_an_image(served):
    reply = served.predict(b"hello", "?name=note.png")
    assert reply.status == 400
    assert reply.sentence.startswith("note.png cannot be recognised as a PNG")
