"""`rdvar serve` itself: its flags, the port, signals, kills, and the log."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import jax
import numpy as np
import pytest
from running import png

from rdvar_jax.cli.main import main
from rdvar_jax.commands.serve import Serving, serve

TIMEOUT = 60


def post(url: str, content: bytes, name: str = "a.png") -> dict:
    request = urllib.request.Request(f"{url}/predict?name={name}", content, method="POST")
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        return json.load(answer)


def test_it_serves_until_a_signal(bundle, files, tmp_path):
    answers = []

    def use(url: str) -> None:
        answers.extend(post(url, content) for content in files[:2])
        os.kill(os.getpid(), signal.SIGTERM)

    threads = []

    def opened(url: str) -> None:
        threads.append(threading.Thread(target=use, args=[url]))
        threads[0].start()

    serving = Serving(port=0, log=tmp_path / "v.sqlite", batch_size=2)
    serve([bundle], serving, opened=opened)
    threads[0].join()
    assert [one["id"] for one in answers] == [1, 2]
    connection = sqlite3.connect(tmp_path / "v.sqlite")
    assert connection.execute("SELECT score FROM verdicts").fetchall() == [
        (one["score"],) for one in answers
    ]
    connection.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.sqlite"]


def refusal(capsys, *words: object) -> str:
    assert main(["serve", *map(str, words)]) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    return sentence


def test_flags_that_cannot_be_used(bundle, tmp_path, capsys):
    (tmp_path / "good_tokens").write_text("0123456789abcdef")
    token = "--token_file", tmp_path / "good_tokens"
    assert "No bundle is given" in refusal(capsys)
    sentence = refusal(capsys, bundle, "--host", "0.0.0.0")
    assert sentence.startswith("rdvar: --host 0.0.0.0 lets other computers in; give --token_file")
    assert "--batch_size 0 must be at least 1" in refusal(capsys, bundle, "--batch_size=0")
    assert "--queue 0 must be at least 1" in refusal(capsys, bundle, "--queue=0")
    assert "--wait_ms" in refusal(capsys, bundle, "--wait_ms=nan")
    assert "--max_upload_mb" in refusal(capsys, bundle, "--max_upload_mb=0")
    assert "--watch needs a folder" in refusal(capsys, bundle, "--watch", tmp_path / "none")
    assert "--threshold nan must be a finite" in refusal(capsys, bundle, "--threshold=nan")
    assert "--port 70000 must be from 0" in refusal(capsys, bundle, "--port=70000")
    assert "is not an address" in refusal(capsys, bundle, "--host=127.0.0.300", *token)
    (tmp_path / "tokens").write_text("short")
    assert "16 or more" in refusal(capsys, bundle, "--token_file", tmp_path / "tokens")
    (tmp_path / "log").write_text("no database" * 100)
    assert "give another --log" in refusal(capsys, bundle, "--port=0", "--log", tmp_path / "log")
    (tmp_path / "x.rdvar").write_bytes(bundle.read_bytes()[:1000])
    assert "x.rdvar" in refusal(capsys, tmp_path / "x.rdvar", "--port=0")


def test_a_port_that_is_taken(bundle, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        sentence = refusal(capsys, bundle, "--port", port)
    assert sentence == f"rdvar: port {port} of 127.0.0.1 is in use by another program; give --port."


class Process:
    """`rdvar serve` as a process of its own, once its port is open."""

    def __init__(self, *words: object):
        cache = str(jax.config.values["jax_compilation_cache_dir"])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rdvar_jax", "serve", "--port", "0", *map(str, words)],
            env={**os.environ, "JAX_COMPILATION_CACHE_DIR": cache},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        found = re.match(r"listening on (http://\S+); ", self.process.stdout.readline())
        assert found, self.process.communicate()[1]
        self.url = found[1]

    def end(self, number: int) -> tuple[int, str]:
        """Sends a signal; exit code and standard error."""
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT), self.process.communicate()[1]


def send_half(url: str, content: bytes) -> socket.socket:
    address = urlsplit(url)
    connection = socket.create_connection((address.hostname, address.port), TIMEOUT)
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n"
    connection.sendall(head.encode() + content[:100])
    return connection


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(bundle, files, number):
    process = Process(bundle)
    with send_half(process.url, files[0]) as connection:
        time.sleep(0.3)  # accepted
        process.process.send_signal(number)
        time.sleep(0.5)
        connection.sendall(files[0][100:])
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    code, said = process.process.wait(TIMEOUT), process.process.communicate()[1]
    assert code == 0
    assert "Traceback" not in said


PAGE = Path(__file__).resolve().parents[2] / "docs" / "how_to" / "serve.md"


@pytest.mark.slow
def test_the_calls_of_the_page(bundle, files, tmp_path):
    (tmp_path / "a.png").write_bytes(files[0])
    (tmp_path / "b.png").write_bytes(files[1])
    blocks = re.findall(r"^```(bash|python)\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    (calls,) = [text for _, text in blocks if text.count("curl") == 5]
    (python,) = [text for kind, text in blocks if kind == "python"]
    process = Process(bundle)

    def call(*command: str) -> str:
        *words, code = command
        code = code.replace("http://127.0.0.1:8000", process.url).replace("256, 256", "32, 32")
        done = subprocess.run([*words, code], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = [call("sh", "-c", line) for line in calls.splitlines()]
    one, several, nothing, recent, metrics = said
    assert json.loads(one)["name"] == "a.png"
    assert [found["name"] for found in json.loads(several)["verdicts"]] == ["a.png", "b.png"]
    assert nothing == "" and (tmp_path / "overlay.png").read_bytes()[:4] == b"\x89PNG"
    assert json.loads(recent)["last_id"] == 4
    assert "rdvar_images_total" in metrics
    (score,) = json.loads(call(sys.executable, "-c", python))
    assert score > 0
    assert process.end(signal.SIGTERM)[0] == 0


def rows(path: Path) -> dict[int, tuple]:
    connection = sqlite3.connect(path)
    try:
        found = connection.execute("SELECT id, name, sha256, score FROM verdicts").fetchall()
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        connection.close()
    return {row[0]: row for row in found}


@pytest.mark.slow
def test_after_a_kill_every_answered_verdict_is_in_the_log(bundle, tmp_path):
    path, highest, answered = tmp_path / "v.sqlite", 0, 0
    rng = np.random.default_rng(0)
    contents = [png(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)) for _ in range(50)]
    for round in range(3):
        process, answers = Process(bundle, "--log", path), []

        def send(first: int, process=process, answers=answers) -> None:
            for index in range(first, 100_000, 4):
                try:
                    name = f"{index}.png"
                    answers.append(post(process.url, contents[index % 50], name))
                except (OSError, HTTPException):  # it was killed
                    return

        threads = [threading.Thread(target=send, args=[first]) for first in range(4)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + TIMEOUT
        while len(answers) < 50 + 37 * round:
            assert time.monotonic() < end
            time.sleep(0.001)
        process.process.kill()
        for thread in threads:
            thread.join()
        process.process.communicate()
        kept = rows(path)
        for one in answers:
            assert kept[one["id"]] == (one["id"], one["name"], one["sha256"], one["score"])
        assert min(one["id"] for one in answers) > highest
        highest, answered = max(kept), answered + len(answers)
    assert answered <= len(kept) <= answered + 3 * 4  # at most one of each client was on its way
