import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from rdvar_jax.errors import WeightsError
from rdvar_jax.weights import catalogue, download
from rdvar_jax.weights.cache_file import cache_lock, sweep
from rdvar_jax.weights.catalogue import CatalogueFile, fetch, refuse_v2, weights_at_hand
from rdvar_jax.weights.file_hash import sha256_of
from rdvar_jax.weights.places import cache_dir, torch_cache_dir

CONTENT = bytes(range(256)) * 9000  # more than one chunk
FILE = CatalogueFile("resnet18", hashlib.sha256(CONTENT).hexdigest()[:8])


class Server:
    """A local web server: the content that it sends, and its request count."""

    def __init__(self):
        self.content = CONTENT
        self.declared = len(CONTENT)
        self.status = 200
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                self.send_response(outer.status)
                if outer.declared is not None:
                    self.send_header("Content-Length", str(outer.declared))
                self.end_headers()
                self.wfile.write(outer.content)

            def log_message(self, format, *args):
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/models/"


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Puts all caches under `tmp_path`, and replaces the catalogue's resnet18 by `FILE`."""
    monkeypatch.setenv("RDVAR_CACHE", str(tmp_path / "ours"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setitem(catalogue.CATALOGUE, "resnet18", FILE)
    monkeypatch.setattr(catalogue, "BASE_URL", "http://127.0.0.1:9/")  # nothing listens there
    return tmp_path


@pytest.fixture
def server(folders, monkeypatch):
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setattr(catalogue, "BASE_URL", server.url)
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


def refused() -> str:
    with pytest.raises(WeightsError) as caught:
        fetch("resnet18")
    message = str(caught.value)
    assert FILE.name in message and "\n" not in message
    assert list(cache_dir().glob(".*")) == [], "temporary files are left"
    return message


def test_names_and_addresses():
    urls = {arch: file.url for arch, file in catalogue.CATALOGUE.items()}
    host = "https://download.pytorch.org/models/"
    assert urls == {
        "resnet18": host + "resnet18-f37072fd.pth",
        "resnet34": host + "resnet34-b627a593.pth",
        "resnet50": host + "resnet50-0676ba61.pth",
        "wide_resnet50_2": host + "wide_resnet50_2-95faca4d.pth",
        "wide_resnet101_2": host + "wide_resnet101_2-32ee1156.pth",
    }


def test_folders(monkeypatch, tmp_path):
    for name in ("RDVAR_CACHE", "XDG_CACHE_HOME", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache/rdvar_jax/weights"
    assert torch_cache_dir() == tmp_path / ".cache/torch/hub/checkpoints"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_dir() == Path("/xdg/rdvar_jax/weights")
    assert torch_cache_dir() == Path("/xdg/torch/hub/checkpoints")
    monkeypatch.setenv("RDVAR_CACHE", "~/own")
    monkeypatch.setenv("TORCH_HOME", "~/torch")
    assert cache_dir() == tmp_path / "own/weights"
    assert torch_cache_dir() == tmp_path / "torch/hub/checkpoints"


def test_download_once(server, folders):
    path = fetch("resnet18").path
    assert path == folders / "ours" / "weights" / FILE.name
    assert path.read_bytes() == CONTENT
    assert server.asked == [f"/models/{FILE.name}"]
    assert fetch("resnet18").path == path
    assert len(server.asked) == 1
    assert os.listdir(path.parent) == [FILE.name]


def test_download_of_unknown_length(server):
    server.declared = None
    assert fetch("resnet18").path.read_bytes() == CONTENT


def test_a_wrong_download_is_not_kept(server):
    server.content = b"something else".ljust(len(CONTENT))
    message = refused()
    found = hashlib.sha256(server.content).hexdigest()[:8]
    assert f"should begin with {FILE.sha256_prefix} but begins with {found}" in message
    assert not (cache_dir() / FILE.name).exists()


def test_a_broken_connection(server):
    server.content = CONTENT[:1000]
    message = refused()
    assert f"the connection broke after 1000 of {len(CONTENT)} bytes" in message
    assert not (cache_dir() / FILE.name).exists()


def test_an_error_of_the_server(server):
    server.status = 404
    assert "Not Found" in refused()


def test_no_network(folders):
    message = refused()
    assert f"{FILE.name} could not be downloaded (" in message
    assert FILE.sha256_prefix in message and FILE.url in message
    assert str(cache_dir()) in message and "teacher.weights" in message


def test_a_silent_server(folders, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        monkeypatch.setattr(catalogue, "BASE_URL", url)
        assert "timed out" in refused()


def test_a_damaged_copy_is_named_and_left_alone(server):
    cached = cache_dir() / FILE.name
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"damaged")
    message = refused()
    found = hashlib.sha256(b"damaged").hexdigest()[:8]
    assert str(cached) in message and FILE.sha256_prefix in message and found in message
    assert cached.read_bytes() == b"damaged"
    assert server.asked == []


def test_torchs_cache_is_used(folders):
    cached = folders / "torch" / "hub" / "checkpoints" / FILE.name
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT)
    assert fetch("resnet18").path == cached
    assert not cache_dir().exists()


def test_a_damaged_file_in_torchs_cache_is_passed_over(server, folders):
    cached = folders / "torch" / "hub" / "checkpoints" / FILE.name
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT[:100])
    assert fetch("resnet18").path == cache_dir() / FILE.name
    assert cached.read_bytes() == CONTENT[:100]


def test_a_cache_that_cannot_be_written_to(folders):
    (folders / "ours").write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match="set RDVAR_CACHE"):
        fetch("resnet18")


def test_unknown_architecture(folders):
    with pytest.raises(WeightsError, match="'resnet101'; set teacher.arch to one of resnet18, "):
        fetch("resnet101")


@pytest.mark.parametrize(
    "name",
    ["resnet50-11ad3fa6.pth", "wide_resnet50_2-9ba9bcbe.pth", "wide_resnet101_2-d733dc28.pth"],
)
def test_v2_is_refused_by_name_and_by_content(name):
    arch, prefix = name.removesuffix(".pth").split("-")
    first = catalogue.CATALOGUE[arch].name
    for path, digest in ((Path("a") / name, "0" * 64), (Path("weights.pth"), prefix + "0" * 56)):
        with pytest.raises(WeightsError, match=f"{path} is .*IMAGENET1K_V2.*near chance.*{first}"):
            refuse_v2(path, digest)
    refuse_v2(Path("a") / first, catalogue.CATALOGUE[arch].sha256_prefix + "0" * 56)


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    # the first example of FIPS 180-2
    assert sha256_of(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223b00361a396177a9c")
    with pytest.raises(WeightsError, match="does not exist; check teacher.weights"):
        sha256_of(tmp_path / "b")
    with pytest.raises(WeightsError, match="is not a file; set teacher.weights"):
        sha256_of(tmp_path)


KILLED = """
import sys
from rdvar_jax.weights import catalogue
catalogue.BASE_URL = sys.argv[1]
catalogue.CATALOGUE["resnet18"] = catalogue.CatalogueFile("resnet18", sys.argv[2])
catalogue.fetch("resnet18")
"""


def test_a_killed_download_is_never_believed_and_swept_at_the_next_start(server, folders):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        command = [sys.executable, "-c", KILLED, url, FILE.sha256_prefix]
        with subprocess.Popen(command) as process:  # a process, as it is killed
            connection, _ = listener.accept()
            head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(CONTENT)}\r\n\r\n".encode()
            connection.sendall(head + CONTENT[: 2**20 + 5])
            while not any(path.stat().st_size for path in cache_dir().glob(".*.tmp")):
                assert process.poll() is None
                time.sleep(0.01)
            process.kill()
            connection.close()
    assert list(cache_dir().glob(".*.tmp")) and weights_at_hand("resnet18") is None
    path = fetch("resnet18").path
    assert os.listdir(cache_dir()) == [FILE.name] and path.read_bytes() == CONTENT
    # Also where the file is there by then, put in place by hand.
    left = cache_dir() / f".{FILE.name}.0123abcd.tmp"
    left.write_bytes(b"x")
    fetch("resnet18")
    assert os.listdir(cache_dir()) == [FILE.name]


def test_the_file_of_a_download_that_goes_on_is_not_swept(folders):
    target = cache_dir() / FILE.name
    with cache_lock(target):
        part = cache_dir() / f".{FILE.name}.0123abcd.tmp"
        part.write_bytes(b"x")
        sweep(target)
        assert part.exists()


def test_two_at_once_download_once(server, monkeypatch):
    monkeypatch.setattr("rdvar_jax.weights.cache_file._POLL_SECONDS", 0.01)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(fetch, ["resnet18", "resnet18"])
    assert first == second and first.path.read_bytes() == CONTENT
    assert len(server.asked) == 1
