"""Measures `rdvar serve` beside bare calls of `Detector`, on one machine.

    python tools/benchmark_serve.py prepare --folder F [--image_size 128] [--arch resnet18]
    python tools/benchmark_serve.py latency --folder F --output O.json
    python tools/benchmark_serve.py rate --folder F --output O.json
    python tools/benchmark_serve.py memory --folder F --output O.json --num_images 20000

prepare    draws images, and trains and exports a network for one step: scores mean nothing, and
           take as long as any.
latency    `Detector.predict` of one file after the other, and one client that sends the same files
           to the server, ten of each in turn, so that both see the same machine.
rate       `Detector.predict` of 8 files at once, and 8 clients that each send one file after the
           other, in turn, several rounds. All of them are processes of this machine: what the
           clients need is taken from the server too.
           The threshold is such that a share of the files, --defective, is above it, and the server
           finds their regions; `Detector.predict` finds none.
memory     resident memory of the server while 8 clients send many images.

Each command adds its row to the JSON file, with machine, versions and commit.
"""

import argparse
import json
import math
import re
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from benchmark_rows.kit import Kit, make_kit, rdvar_command, read_kit, write_kit
from benchmark_rows.serve import Settings
from collect_results import checkout_commit, machine

PACKAGES = ("jax", "jaxlib", "numpy", "pillow", "starlette", "uvicorn", "httptools", "uvloop")
CLIENTS = 8
BLOCK = 10  # calls of one kind, one after the other
KIT, CELL = "kit.json", "cell.json"


def main() -> None:
    args = read_arguments()
    if args.command == "prepare":
        prepare(args)
        return
    kit = read_kit(str(args.folder / KIT))
    row = {"latency": latency, "rate": rate, "memory": memory}[args.command](kit, args)
    report = json.loads(args.output.read_text()) if args.output.exists() else {}
    report |= {
        "commit": checkout_commit(),
        "machine": machine(),
        "versions": {name: version(name) for name in PACKAGES},
    }
    cell = json.loads((args.folder / CELL).read_text())
    report.setdefault("rows", []).append({"row": args.command, **cell, **row})
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report["rows"][-1], indent=1))


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=("prepare", "latency", "rate", "memory"))
    parser.add_argument("--folder", type=Path, required=True, help="of the network and images")
    parser.add_argument("--output", type=Path, default=Path("serve.json"), help="the report")
    parser.add_argument("--arch", default="resnet18", help="backbone, of `prepare`")
    parser.add_argument("--stem_width", type=int, default=64, help="64 is torchvision's")
    parser.add_argument("--image_size", type=int, default=128, help="at which images are scored")
    parser.add_argument("--photograph_size", type=int, default=256, help="side of the files")
    parser.add_argument("--num_files", type=int, default=200, help="files, of `prepare`")
    parser.add_argument("--num_images", type=int, default=2000, help="of `rate` and `memory`")
    parser.add_argument("--num_calls", type=int, default=300, help="of `latency`, of each kind")
    parser.add_argument("--rounds", type=int, default=4, help="of `rate`, of each kind")
    parser.add_argument(
        "--defective", type=float, default=0.05, help="share of the files above the threshold"
    )
    parser.add_argument("--serve", default="", help="more flags of rdvar serve, in one word")
    return parser.parse_args()


def prepare(args: argparse.Namespace) -> None:
    """Makes the network and the images in a new folder."""
    args.folder.mkdir(parents=True)
    settings = Settings(
        row="",
        arch=args.arch,
        batch=8,
        image_size=args.image_size,
        stem_width=args.stem_width,
        data=None,
        min_seconds=0,
        precision="float32",
    )
    kit = make_kit(args.folder.resolve(), settings, args.num_files, args.photograph_size)
    write_kit(kit, args.folder / KIT)
    cell = {name: getattr(args, name) for name in ("arch", "stem_width", "image_size")}
    (args.folder / CELL).write_text(json.dumps({**cell, "file_pixels": args.photograph_size}))


def latency(kit: Kit, args: argparse.Namespace) -> dict[str, Any]:
    """Times one image, bare and by HTTP, in turn."""
    predict, threshold = bare(kit, args.defective)
    files = kit.photographs
    contents = [Path(file).read_bytes() for file in files]
    with server(kit, args, threshold) as (port, _):
        client = Client(port)
        calls: dict[str, Callable[[int], object]] = {
            "bare": lambda index: predict([files[index]]),
            "http": lambda index: client.send(contents[index]),
        }
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        for first in range(-BLOCK, args.num_calls, BLOCK):  # the first block is not counted
            for name, call in calls.items():
                for number in range(first, first + BLOCK):
                    start = time.perf_counter()
                    call(number % len(files))
                    if number >= 0:
                        seconds[name].append(time.perf_counter() - start)
        client.close()
    found = {name: in_ms(times) for name, times in seconds.items()}
    added = {
        f"added_{key}": round(found["http"][key] - found["bare"][key], 3)
        for key in ("p50_ms", "p99_ms")
    }
    return {"calls": args.num_calls, "defective": args.defective, **found, **added}


def rate(kit: Kit, args: argparse.Namespace) -> dict[str, Any]:
    """Counts images a second, bare in batches of 8 and by 8 clients, in turn."""
    predict, threshold = bare(kit, args.defective)
    files = kit.photographs
    contents = [Path(file).read_bytes() for file in files]
    number = args.num_images // args.rounds
    rates: dict[str, list[float]] = {"bare": [], "http": []}
    times: list[float] = []
    cpu = {"bare": 0.0, "server": 0.0, "clients": 0.0}
    with server(kit, args, threshold) as (port, process):
        send_all(port, contents, 8 * CLIENTS)
        for _ in range(args.rounds):
            start, cpu_start = time.perf_counter(), time.process_time()
            for first in range(0, number, 8):
                predict([files[index % len(files)] for index in range(first, first + 8)])
            rates["bare"].append(math.ceil(number / 8) * 8 / (time.perf_counter() - start))
            cpu["bare"] += time.process_time() - cpu_start
            start, cpu_start, before = time.perf_counter(), time.process_time(), cpu_of(process)
            times += send_all(port, contents, number)
            rates["http"].append(number / (time.perf_counter() - start))
            cpu["clients"] += time.process_time() - cpu_start
            cpu["server"] += cpu_of(process) - before
    ratios = [http / bare for http, bare in zip(rates["http"], rates["bare"], strict=True)]
    return {
        "clients": CLIENTS,
        "images": number * args.rounds,
        "defective": args.defective,
        **{f"{name}_images_a_second": rounded(found) for name, found in rates.items()},
        "http_to_bare": rounded(ratios),
        "http_to_bare_median": round(statistics.median(ratios), 3),
        "http": in_ms(times),
        "cpu_ms_an_image": {
            name: round(1e3 * spent / (number * args.rounds), 3) for name, spent in cpu.items()
        },
    }


def memory(kit: Kit, args: argparse.Namespace) -> dict[str, Any]:
    """Samples the server's resident memory after each tenth of the images."""
    contents = [Path(file).read_bytes() for file in kit.photographs]
    resident = []
    with server(kit, args, kit.threshold) as (port, process):
        for _ in range(10):
            send_all(port, contents, args.num_images // 10)
            resident.append(round(psutil.Process(process.pid).memory_info().rss / 1e6, 1))
    return {"images": args.num_images, "resident_mb": resident}


def cpu_of(process: subprocess.Popen) -> float:
    """CPU seconds that a process has used."""
    times = psutil.Process(process.pid).cpu_times()
    return times.user + times.system


def bare(kit: Kit, defective: float) -> tuple[Callable[[list[str]], object], float]:
    """Loads the bundle in this process, warms it up, and finds the threshold."""
    from rdvar_jax.cli.start import start_jax

    start_jax()
    from rdvar_jax.serving.detector import Detector

    detector = Detector.load(kit.bundle)
    detector.predict(kit.photographs[:1])
    threshold = float(np.quantile(detector.predict(kit.photographs).scores, 1 - defective))
    return lambda files: detector.predict(files, threshold=threshold), threshold


@contextmanager
def server(
    kit: Kit, args: argparse.Namespace, threshold: float
) -> Iterator[tuple[int, subprocess.Popen]]:
    """Starts `rdvar serve` on a free port, and stops it at the end."""
    words = rdvar_command("serve", kit.bundle, "--port", 0, "--threshold", threshold)
    process = subprocess.Popen(
        [*words, *args.serve.split()],
        env=kit.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("listening on "):
            raise SystemExit(f"rdvar serve did not start: {line!r}")
        yield int(line.partition(";")[0].rpartition(":")[2]), process
    finally:
        process.terminate()
        process.wait()


class Client:
    """One connection that sends images, with little work of its own: it takes the server's CPU."""

    def __init__(self, port: int):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, content: bytes) -> None:
        """Sends an image, and takes its verdict."""
        head = (
            f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        self._socket.sendall(head.encode() + content)
        answer, end, whole = b"", -1, 0
        while end < 0 or len(answer) < whole:
            answer += (received := self._socket.recv(1 << 16))
            if not received:
                raise SystemExit("the server closed the connection")
            if end < 0 and (end := answer.find(b"\r\n\r\n")) >= 0:
                length = re.search(rb"(?i)content-length: (\d+)", answer[:end])
                whole = end + 4 + int(length[1] if length else 0)
        if not answer.startswith(b"HTTP/1.1 200 ") or b'"score":' not in answer:
            raise SystemExit(answer.decode())

    def close(self) -> None:
        self._socket.close()


def send_all(port: int, contents: list[bytes], number: int) -> list[float]:
    """Sends images with all clients at once, and returns the seconds of each."""
    numbers, lock, seconds = iter(range(number)), threading.Lock(), list[float]()

    def work() -> None:
        client = Client(port)
        while True:
            with lock:
                index = next(numbers, None)
            if index is None:
                break
            start = time.perf_counter()
            client.send(contents[index % len(contents)])
            seconds.append(time.perf_counter() - start)
        client.close()

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(seconds) != number:
        raise SystemExit(f"{len(seconds)} of {number} images were answered")
    return seconds


def in_ms(seconds: list[float]) -> dict[str, float]:
    """Median and 99th percentile in milliseconds."""
    hundredths = statistics.quantiles(seconds, n=100)
    return {
        "p50_ms": round(1e3 * statistics.median(seconds), 3),
        "p99_ms": round(1e3 * hundredths[98], 3),
    }


def rounded(values: list[float]) -> list[float]:
    return [round(value, 3) for value in values]


if __name__ == "__main__":
    main()
