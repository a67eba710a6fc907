"""`tools/benchmark_serve.py`: every row runs end to end on a narrow network."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "benchmark_serve.py"
SMALL = ("--stem_width=4", "--image_size=32", "--photograph_size=40", "--num_files=8")


@pytest.mark.slow
def test_every_row(tmp_path):
    cache = str(TOOL.parents[1] / ".cache" / "xla-tests")

    def call(*words: object) -> str:
        done = subprocess.run(
            [sys.executable, TOOL, *map(str, words), "--folder", tmp_path / "kit"],
            env={**os.environ, "JAX_COMPILATION_CACHE_DIR": cache},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    output = tmp_path / "out" / "serve.json"
    call("prepare", *SMALL)
    call("latency", "--output", output, "--num_calls=5")
    call("rate", "--output", output, "--num_images=32", "--rounds=2")
    said = json.loads(call("memory", "--output", output, "--num_images=80"))
    report = json.loads(output.read_text())
    latency, rate, memory = report["rows"]
    assert said == memory and len(memory["resident_mb"]) == 10
    assert 0 < latency["bare"]["p50_ms"] <= latency["bare"]["p99_ms"]
    assert latency["added_p50_ms"] == pytest.approx(
        latency["http"]["p50_ms"] - latency["bare"]["p50_ms"], abs=2e-3
    )
    assert (rate["images"], len(rate["http_to_bare"])) == (32, 2)
    assert report["machine"]["instruction_sets"] and "jax" in report["versions"]
    assert {row["image_size"] for row in report["rows"]} == {32}
