"""Many clients at once, and uploads of every bad kind."""

import hashlib
import io
import json
import socket
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from running import BOUNDARY, Reply, form, png

NUM_CLIENTS, NUM_IMAGES = 8, 250


@pytest.mark.slow
def test_nothing_is_lost_or_mixed_up(served, detector):
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (NUM_CLIENTS * NUM_IMAGES, 32, 32, 3), dtype=np.uint8)
    expected = detector.predict(images)
    contents = [png(image) for image in images]
    answers: dict[int, dict] = {}

    def send(client: int) -> None:
        connection = served.connect()
        for index in range(client, len(contents), NUM_CLIENTS):
            connection.request("POST", f"/predict?name={index}", contents[index])
            answer = connection.getresponse()
            assert answer.status == 200
            answers[index] = json.loads(answer.read())
        connection.close()

    threads = [threading.Thread(target=send, args=[client]) for client in range(NUM_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == list(range(len(contents)))
    assert len({one["id"] for one in answers.values()}) == len(contents)
    for index, one in answers.items():
        assert one["name"] == str(index)
        assert one["sha256"] == hashlib.sha256(contents[index]).hexdigest()
        assert one["score"] == pytest.approx(float(expected.scores[index]), rel=1e-5)
        # At the threshold itself the last bit decides.
        if abs(one["score"] - one["threshold"]) > 1e-5:
            assert (one["verdict"] == "defective") == expected.verdicts[index]


def bad_images(good: bytes, jpeg: bytes) -> Iterator[tuple[str, bytes]]:
    """Files that no reader takes, with a name for each."""
    for share in range(1, 19):  # the rest of a PNG is a checksum and its end mark
        yield f"png cut at {share}/20", good[: len(good) * share // 20]
        yield f"jpeg cut at {share}/20", jpeg[: len(jpeg) * share // 20]
    for byte in range(8, 33, 2):
        yield f"png with byte {byte} changed", good[:byte] + b"\xee" + good[byte + 1 :]
    bomb = good[:16] + (60_000).to_bytes(4, "big") * 2 + good[24:]
    yield "bomb", bomb
    yield from {
        "text": b"hello",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "jpeg 2000": b"\xffO\xffQ" + bytes(40),
        "gzip": b"\x1f\x8b" + bytes(40),
        "a program": b"\x7fELF" + bytes(60),
        "html": b"<html></html>",
        "gif": b"GIF89a" + bytes(50),
        "pdf": b"%PDF-1.7" + bytes(50),
        "zip": b"PK\x03\x04" + bytes(50),
        "zeros": bytes(1000),
        "ones": b"\xff" * 1000,
        "json": b"{}",
        "only a signature": good[:8],
        "tiff of nothing": b"II*\0\x08\0\0\0\0\0",
        "bmp of nothing": b"BM" + bytes(60),
        "webp of nothing": b"RIFF\x04\0\0\0WEBP",
        "jpeg of nothing": b"\xff\xd8\xff\xd9",
        "mpo": b"\xff\xd8\xff\xe2" + bytes(40),
    }.items()


def bad_forms(good: bytes) -> Iterator[tuple[str, str, bytes]]:
    """Forms that cannot be read: name, content type, body."""
    body, kind = form(("a.png", good))
    yield "no boundary", "multipart/form-data", body
    yield "another boundary", "multipart/form-data; boundary=other", body
    yield "empty form", kind, b""
    yield "only the end", kind, f"--{BOUNDARY}--\r\n".encode()
    yield "no disposition", kind, body.replace(b"Content-Disposition", b"X")
    yield "a field in place of a file", kind, body.replace(b'; filename="a.png"', b"")
    yield "cut headers", kind, body[:60]
    yield "cut file", kind, body[: len(body) // 2]
    yield "an empty file", kind, form(("a.png", b""))[0]
    yield "one good and one bad", kind, form(("a.png", good), ("b.png", b"text"))[0]
    yield "too many", kind, form(*[("a.png", good)] * 65)[0]
    yield "text", kind, b"text"


def bad_requests(size: int) -> Iterator[tuple[str, bytes]]:
    """Bodies that are no request of the protocol."""
    zeros = [0] * (size * size * 3)
    tensor = {"name": "images", "shape": [1, size, size, 3], "datatype": "UINT8", "data": zeros}
    yield "empty", b""
    yield "no JSON", b"{"
    yield "NaN", json.dumps({"inputs": [{**tensor, "data": [float("nan")] * len(zeros)}]}).encode()
    yield "infinity", b'{"inputs": [Infinity]}'
    yield "deep", b'{"a":' * 50_000
    yield "a huge number", b'{"inputs": ' + b"9" * 5000 + b"}"
    for name, value in {
        "shape": [1, -size, size, 3],
        "data": [1] * 5,
        "datatype": "FP64",
        "name": "x" * 10_000,
    }.items():
        yield name, json.dumps({"inputs": [{**tensor, name: value}]}).encode()
    yield "negative batch", json.dumps({"inputs": [{**tensor, "shape": [-1, 1, 1, 3]}]}).encode()
    yield (
        "a batch beyond memory",
        json.dumps({"inputs": [{**tensor, "shape": [10**18, size, size, 3]}]}).encode(),
    )


def raw(port: int, head: str, body: bytes = b"") -> tuple[int, bytes]:
    """Sends bytes as they are; status and body of the answer."""
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    head_of_it, _, content = answer.partition(b"\r\n\r\n")
    assert head_of_it, head
    return int(head_of_it.split()[1]), content


def test_a_hundred_malformed_uploads(served, files, pictures):
    jpeg = io.BytesIO()
    Image.fromarray(pictures[1]).save(jpeg, "JPEG")
    replies: dict[str, Reply] = {}
    for name, content in bad_images(files[1], jpeg.getvalue()):
        replies[name] = served.predict(content)
    for name, kind, body in bad_forms(files[1]):
        replies[f"form: {name}"] = served.predict(body, Content_Type=kind)
    for name, body in bad_requests(32):
        replies[f"infer: {name}"] = served.send("POST", "/v2/models/part/infer", body)
    for length in ("-1", "1e9", str(3000)):
        replies[f"infer: header of {length}"] = served.send(
            "POST", "/v2/models/part/infer", b"{}", Inference_Header_Content_Length=length
        )
    for kind in ("image/png", "multipart/form-data; boundary=x"):
        replies[f"empty {kind}"] = served.predict(b"", Content_Type=kind)
    for name, reply in replies.items():
        assert 400 <= reply.status < 500, (name, reply.status, reply.body)
        assert reply.sentence.endswith(".") and "\n" not in reply.sentence, name
    statuses = [
        raw(served.port, f"POST /predict HTTP/1.1\nHost: localhost\n{line}", body)
        for line, body in [
            ("Content-Length: 99999999999999999999", b""),
            ("Content-Length: -5", b""),
            ("Content-Length: x", b""),
            ("Content-Length: 5\nContent-Length: 6", b"abcdef"),
            ("Transfer-Encoding: chunked", b"zz\r\n"),
            ("Transfer-Encoding: other", b""),
        ]
    ]
    for status, body in statuses:
        assert 400 <= status < 500 or status == 501, (status, body)
        # The web server's own, or ours.
        assert b"Invalid HTTP request received." in body or body.endswith(b'."}'), body
    assert len(replies) + len(statuses) >= 100
    assert served.predict(files[1]).status == 200
    assert served.station.queue.depth("part") == 0
