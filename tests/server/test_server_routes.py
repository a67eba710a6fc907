"""Every route of the server, over real connections."""

import base64
import hashlib
import io
import json

import numpy as np
import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from running import form, running

from rdvar_jax.server.judging.part import load_parts
from rdvar_jax.serving.judgement import Thresholds

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
    # Not the same bits: on some CPUs two images together are rounded in another way than one.
    alone = served.predict(body, Content_Type=kind).json
    assert alone["score"] == pytest.approx(found[0]["score"], rel=1e-5)


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


def test_infer_takes_nested_data_and_gives_what_is_asked_for(served, detector, tiny):
    images = tiny.images[:2]
    request = infer_request(images, outputs=[{"name": "scores"}])
    request["inputs"][0]["data"] = images.tolist()
    answer = served.infer(request).json
    assert [output["name"] for output in answer["outputs"]] == ["scores"]
    assert answer["outputs"][0]["shape"] == [2]
    np.testing.assert_allclose(
        answer["outputs"][0]["data"], detector.predict(images).scores, rtol=1e-5
    )
    assert (answer["model_name"], "id" in answer) == ("part", False)


def test_infer_with_raw_tensors(served, detector, tiny):
    images = tiny.images[:3]
    request = infer_request(images, outputs=[{"name": "scores"}, {"name": "maps"}])
    del request["inputs"][0]["data"]
    request["inputs"][0]["parameters"] = {"binary_data_size": images.size}
    request["outputs"][1]["parameters"] = {"binary_data": True}
    header = json.dumps(request).encode()
    reply = served.send(
        "POST",
        "/v2/models/part/infer",
        header + images.tobytes(),
        Inference_Header_Content_Length=str(len(header)),
    )
    length = int(reply.headers["inference-header-content-length"])
    scores, maps = json.loads(reply.body[:length])["outputs"]
    raw = reply.body[length:]
    assert maps["parameters"] == {"binary_data_size": len(raw)}
    found = detector.predict(images)
    np.testing.assert_allclose(scores["data"], found.scores, rtol=1e-5)
    np.testing.assert_allclose(
        np.frombuffer(raw, "<f4").reshape(maps["shape"]), found.maps, rtol=1e-5, atol=1e-7
    )


def test_all_outputs_raw(served, tiny):
    request = infer_request(tiny.images[:1], parameters={"binary_data_output": True})
    reply = served.infer(request)
    length = int(reply.headers["inference-header-content-length"])
    sizes = [
        output["parameters"]["binary_data_size"]
        for output in json.loads(reply.body[:length])["outputs"]
    ]
    assert sizes == [4 * SIZE * SIZE, 4, 1] and len(reply.body) == length + sum(sizes)


def test_an_inferred_image_is_remembered_like_a_file(served, tiny):
    before = served.get("/recent").json["last_id"]
    served.infer(infer_request(tiny.images[:2], id="belt 3"))
    found = served.get(f"/recent?after={before}").json["verdicts"]
    assert [one["name"] for one in found] == ["belt 3[0]", "belt 3[1]"]
    assert found[0]["sha256"] == hashlib.sha256(tiny.images[0].tobytes()).hexdigest()
    picture = Image.open(io.BytesIO(served.get(f"/verdicts/{found[1]['id']}/plain.jpg").body))
    assert picture.size == (320, 320)
    (kept,) = [served.recent.get(found[0]["id"])]
    sent = kept.pictures.sent.content  # as feedback keeps it
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(sent))), tiny.images[0])


def test_about_the_server_and_its_models(served, detector):
    assert served.get("/v2").json["extensions"] == ["binary_tensor_data"]
    model = served.get("/v2/models/part").json
    assert model["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, 32, 32, 3]}]
    assert [one["name"] for one in model["outputs"]] == ["maps", "scores", "verdicts"]
    assert served.get("/v2/models/part/ready").json == {"name": "part", "ready": True}
    assert served.get("/v2/health/live").json == {"live": True}
    assert served.get("/v2/health/ready").json == {"ready": True}


def test_without_a_threshold_there_is_no_verdict(make_bundle, files, tiny, tmp_path):
    parts = load_parts([make_bundle(tmp_path / "bare.rdvar")], 8)
    with running(parts) as served:
        verdict = served.predict(files[0]).json
        assert (verdict["verdict"], verdict["threshold"], verdict["regions"]) == (None, None, None)
        assert served.get(f"/verdicts/{verdict['id']}/heat.jpg").status == 200
        found = served.infer(infer_request(tiny.images[:1]), "bare").json["outputs"]
        assert [one["name"] for one in found] == ["maps", "scores"]
        assert served.get("/recent").json["counts"] == {
            "bare": {"good": 0, "defective": 0, "unknown": 2}
        }


def test_parts_of_one_name_and_a_given_threshold(bundle, files):
    parts = load_parts([bundle, bundle], 8, Thresholds(-1.0))
    assert list(parts) == ["part", "part-2"]
    with running(parts) as served:
        for name in parts:
            verdict = served.predict(files[0], f"?part={name}").json
            assert (verdict["part"], verdict["verdict"]) == (name, "defective")
        assert [one["part"] for one in served.get("/recent?part=part-2").json["verdicts"]] == [
            "part-2"
        ]
        metadata = served.get("/recent").json["parts"]
        assert [(one["name"], one["threshold"]) for one in metadata] == [
            ("part", -1.0),
            ("part-2", -1.0),
        ]


def test_the_oldest_verdicts_and_pictures_are_forgotten(parts, files):
    with running(parts) as served:
        served.recent._number, served.recent._free = 3, 2 * (len(files[0]) + 4 * SIZE * SIZE) + 9
        ids = [served.predict(files[0]).json["id"] for _ in range(4)]
        assert [one["id"] for one in served.get("/recent").json["verdicts"]] == ids[1:]
        statuses = [served.get(f"/verdicts/{id}/heat.jpg").status for id in ids]
        assert statuses == [404, 404, 200, 200]


def test_listeners_hear_each_verdict_before_it_is_answered(parts, files):
    heard = []
    with running(parts, listeners=[lambda verdict, pictures: heard.append(verdict)]) as served:
        for content in files[:3]:
            reply = served.predict(content).json
            assert [one.as_json() for one in heard][-1]["id"] == reply["id"]
    assert [one.id for one in heard] == [1, 2, 3]


def test_metrics(served, detector, files):
    served.predict(files[0])
    reply = served.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(reply.body.decode())
    numbers = {sample.name: 0.0 for family in families for sample in family.samples}
    families = text_string_to_metric_families(reply.body.decode())
    for sample in (sample for family in families for sample in family.samples):
        numbers[sample.name] += sample.value
    last_id = served.get("/recent").json["last_id"]
    assert numbers["rdvar_images_total"] == last_id
    assert numbers["rdvar_score_count"] == numbers["rdvar_verdict_seconds_count"] == last_id
    assert (numbers["rdvar_queue"], numbers["rdvar_queue_size"]) == (0, 64)
    assert numbers["rdvar_threshold"] == pytest.approx(detector.threshold)
    assert numbers["process_resident_memory_bytes"] > 0


def test_not_an_image(served):
    reply = served.predict(b"hello", "?name=note.png")
    assert reply.status == 400
    assert reply.sentence.startswith("note.png cannot be recognised as a PNG")
