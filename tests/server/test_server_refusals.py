"""Requests that cannot be answered: status, one sentence, and the server goes on."""

import re
import socket
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from running import form, running

from rdvar_jax.server.http.bodies import Bodies
from rdvar_jax.server.judging.verdict_log import open_log

TIMEOUT = 20
HALF_SENT = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n"


def infer(images: np.ndarray, **changed) -> dict:
    """A request; `changed` replaces entries of its tensor."""
    tensor = {"name": "images", "shape": list(images.shape), "datatype": "UINT8"}
    return {"inputs": [{**tensor, "data": images.ravel().tolist(), **changed}]}


def test_unknown_addresses_and_methods(served, files):
    assert served.get("/nothing").status == 404
    assert served.get("/nothing").sentence == "There is nothing at /nothing."
    reply = served.get("/predict")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    assert reply.sentence == "/predict is not for GET; use the method in Allow."
    for reply in (served.predict(files[0], "?part=other"), served.get("/v2/models/other")):
        assert reply.status == 404
        assert reply.sentence == "There is no part 'other'; there is part."
    assert served.infer({}, name="other").status == 404
    assert served.get("/verdicts/999999/heat.jpg").status == 404
    for query in ("?after=x", "?after=-1", "?after=" + "9" * 99):
        assert served.get(f"/recent{query}").status == 400


def test_several_parts_must_be_told_apart(parts, files):
    with running({name: replace(parts["part"], name=name) for name in "ab"}) as served:
        assert served.predict(files[0], "?part=b").status == 200
        reply = served.predict(files[0])
        assert (reply.status, reply.sentence) == (
            404,
            "Several parts are served; add ?part= with a or b.",
        )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"datatype": "FP32"}, "must be UINT8"),
        ({"shape": [1, 32, 32]}, r"must be \[B, 32, 32, 3\]"),
        ({"shape": [-1, 32, 32, 3]}, "with B at least 1"),
        ({"shape": [0, 32, 32, 3]}, "with B at least 1"),
        ({"shape": [1, 32, 32, 1.5]}, "the shape"),
        ({"shape": "1"}, "the shape"),
        ({"shape": [10**6, 32, 32, 3]}, "may have 64 images, and this one has 1000000"),
        ({"name": "image"}, "named 'images'"),
        ({"data": [1, 2]}, "must be 3072 integers"),
        ({"data": [0.5] * 3072}, "must be 3072 integers"),
        ({"data": [True] * 3072}, "must be 3072 integers"),
        ({"data": ["a"] * 3072}, "must be 3072 integers"),
        ({"data": [10**30] * 3072}, "must be 3072 integers"),
        ({"data": [256] * 3072}, "from 0 to 255"),
        ({"data": [-1] * 3072}, "from 0 to 255"),
        ({"data": [[1], [1, 2]]}, "must be 3072 integers"),
        ({"data": None}, "must be 3072 integers"),
        ({"parameters": {"binary_data_size": 5}}, "the bytes after the JSON must be 3072"),
        ({"parameters": []}, "parameters is not an object"),
    ],
)
def test_tensors_that_do_not_fit(served, tiny, change, sentence):
    reply = served.infer(infer(tiny.images[:1], **change))
    assert reply.status == 400
    assert re.search(sentence, reply.sentence), reply.sentence
    assert reply.sentence.endswith(".")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "is not JSON"),
        (b"[1]", "is not a JSON object"),
        (b'{"inputs": [NaN]}', "NaN is not a number of JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b'{"inputs": 1}', "inputs is not a list of objects"),
        (b'{"inputs": []}', "inputs must be one tensor"),
        (b'{"id": 1, "inputs": []}', "id is not a string"),
    ],
)
def test_bodies_that_are_no_request(served, body, sentence):
    reply = served.send("POST", "/v2/models/part/infer", body)
    assert reply.status == 400
    assert sentence in reply.sentence


def test_outputs_that_there_are_not(served, tiny):
    request = {**infer(tiny.images[:1]), "outputs": [{"name": "heat"}]}
    reply = served.infer(request)
    assert (reply.status, reply.sentence) == (
        400,
        "The request cannot be used, because the model has no output 'heat'; it has maps, scores, "
        "verdicts.",
    )


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_that_is_too_large_is_not_read(parts, is_chunked):
    with running(parts, bodies=Bodies(max_upload_mb=0.1)) as served:
        connection = socket.create_connection(("127.0.0.1", served.port), TIMEOUT)
        length = "Transfer-Encoding: chunked" if is_chunked else "Content-Length: 5000000000"
        head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\n{length}\r\n\r\n"
        connection.sendall(head.encode())
        if is_chunked:  # never ended
            connection.sendall(b"c350\r\n" + bytes(50_000) + b"\r\n")
            connection.sendall(b"ea60\r\n" + bytes(60_000) + b"\r\n")
        answer = read_all(connection)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"larger than 0.1 MB; send a smaller image" in answer
        assert served.get("/v2/health/live").status == 200


def read_all(connection: socket.socket) -> bytes:
    with connection:
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def test_a_slow_body_takes_no_place_and_is_given_up(parts, files):
    with running(parts, bodies=Bodies(idle_seconds=0.3), queue_size=1) as served:
        connection = socket.create_connection(("127.0.0.1", served.port), TIMEOUT)
        connection.sendall(HALF_SENT + b"ab")
        assert served.predict(files[0]).status == 200  # the only place is free
        answer = read_all(connection)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"0.3 s without data" in answer


def test_a_body_that_drips_is_given_up(parts):
    with running(parts, bodies=Bodies(seconds=0.3)) as served:
        connection = socket.create_connection(("127.0.0.1", served.port), TIMEOUT)
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n"
        )
        for _ in range(3):
            connection.sendall(b"a")
            time.sleep(0.1)
        assert read_all(connection).startswith(b"HTTP/1.1 408 ")


def test_a_client_that_goes_away_leaves_nothing_behind(parts, files):
    with running(parts, queue_size=1) as served:
        for _ in range(3):
            connection = socket.create_connection(("127.0.0.1", served.port), TIMEOUT)
            connection.sendall(HALF_SENT + b"ab")
            connection.close()
        assert served.predict(files[0]).status == 200
        assert served.station.queue.depth("part") == 0


@pytest.fixture
def held(parts, monkeypatch):
    """Holds the detector until the event is set."""
    go, detector = threading.Event(), parts["part"].detector
    score = detector.score

    def wait_and_score(pixels):
        assert go.wait(TIMEOUT)
        return score(pixels)

    monkeypatch.setattr(detector, "score", wait_and_score)
    return go


def test_a_full_queue_and_together_what_came_together(parts, files, held, detector, pictures):
    expected = detector.predict(pictures).scores
    replies = {}
    with running(parts, queue_size=8) as served:

        def send(index: int) -> None:
            replies[index] = served.predict(files[index])

        threads = [threading.Thread(target=send, args=[index]) for index in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: served.station.queue.depth("part") == 8)
        reply = served.predict(files[0])
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert reply.sentence.startswith("8 of 8 places in the queue of part are taken; send the")
        body, kind = form(*[("a.png", files[0])] * 9)
        assert served.predict(body, Content_Type=kind).status == 400
        assert 'rdvar_queue{part="part"} 8.0' in served.get("/metrics").body.decode()
        held.set()
        for thread in threads:
            thread.join()
        assert 'rdvar_refused_total{status="503"} 1.0' in served.get("/metrics").body.decode()
    scores = [replies[index].json["score"] for index in range(8)]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_draining_answers_what_was_accepted(parts, files, held):
    replies = []
    with running(parts) as served:
        thread = threading.Thread(target=lambda: replies.append(served.predict(files[0])))
        thread.start()
        until(lambda: served.station.queue.depth("part") == 1)
        stopping = threading.Thread(target=served.server.stop)
        stopping.start()
        until(lambda: not can_connect(served.port))
        held.set()
        stopping.join()
        thread.join()
    assert replies[0].status == 200


def can_connect(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), TIMEOUT).close()
    except OSError:
        return False
    return True


def until(is_so) -> None:
    end = time.monotonic() + TIMEOUT
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_failing_detector_is_no_end(parts, files, monkeypatch, caplog):
    detector = parts["part"].detector
    score, fails = detector.score, iter([True])
    monkeypatch.setattr(detector, "score", lambda x: 1 / 0 if next(fails, False) else score(x))
    with running(parts) as served:
        reply = served.predict(files[0])
        assert (reply.status, reply.sentence) == (
            500,
            "The server failed on this request; its own log says why.",
        )
        assert "ZeroDivisionError" in caplog.text
        assert served.predict(files[0]).status == 200


def test_nothing_is_answered_that_the_log_does_not_have(parts, files, tmp_path):
    with open_log(tmp_path / "v.sqlite") as log, running(parts, log=log) as served:
        assert served.predict(files[0]).json["id"] == 1
        (pages,) = log._connection.execute("PRAGMA page_count").fetchone()
        log._connection.execute(f"PRAGMA max_page_count = {pages}")
        replies = [served.predict(files[0], f"?name={'x' * 200}") for _ in range(40)]
        full = [reply for reply in replies if reply.status != 200]
        assert full and {reply.status for reply in full} == {507}
        assert "because the disk is full" in full[0].sentence
        log._connection.execute("PRAGMA max_page_count = 100000")
        (count,) = log._connection.execute("SELECT count(*) FROM verdicts").fetchone()
        assert count == 1 + len(replies) - len(full)
        assert served.predict(files[0]).json["id"] == count + 1


def test_a_score_that_is_not_a_number_is_never_good(parts, files, monkeypatch):
    def not_finite(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return pixels[..., 0] * np.float32(np.nan), np.full(len(pixels), np.nan, np.float32)

    monkeypatch.setattr(parts["part"].detector, "score", not_finite)
    with running(parts) as served:
        reply = served.predict(files[0], "?name=a.png")
        assert reply.status == 400
        assert "a.png" in reply.sentence and "nan" in reply.sentence
