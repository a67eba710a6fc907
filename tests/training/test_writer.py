"""Metrics as JSON lines."""

import errno
import json
import math
import threading

import pytest
from full_disk import full_disk

from rdvar_jax.training.writer import MetricsWriter


def lines(path):
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "sha256"} for line in found]


def test_lines_are_on_disk_at_once(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with MetricsWriter(path, step=0) as writer:
        writer.write("train", 1, {"loss": 0.5})
        assert lines(path) == [{"kind": "train", "step": 1, "loss": 0.5}]


def test_going_on_drops_lines_of_steps_that_are_done_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with MetricsWriter(path, step=0) as writer:
        for step in (1, 2, 3):
            writer.write("train", step, {"loss": float(step)})
    path.write_text(path.read_text() + '{"kind": "tr')  # killed while it wrote
    with MetricsWriter(path, step=2) as writer:
        writer.write("train", 3, {"loss": 30.0})
    assert [(line["step"], line["loss"]) for line in lines(path)] == [(1, 1.0), (2, 2.0), (3, 30.0)]


def test_tensorboard_gets_the_scalars(tmp_path):
    pytest.importorskip("tensorboardX")
    with MetricsWriter(tmp_path / "m.jsonl", step=0, tensorboard=tmp_path / "tb") as writer:
        writer.write("train", 1, {"loss": 0.5})
    (events,) = (tmp_path / "tb").iterdir()
    assert b"train/loss" in events.read_bytes()


def test_a_full_disk_is_an_error_with_the_name_of_the_log(tmp_path):
    path = tmp_path / "m.jsonl"

    def write():
        with MetricsWriter(path, step=0) as writer:
            writer.write("train", 1, {"loss": 0.5})

    with full_disk(tmp_path, math.inf) as disk:
        write()
    for fails_from in range(1, disk.count + 1):
        with pytest.raises(OSError) as error, full_disk(tmp_path, fails_from):
            write()
        assert str(error.value.filename).startswith(str(tmp_path))


def test_a_full_disk_under_tensorboard_is_an_error_of_the_writer(tmp_path):
    pytest.importorskip("tensorboardX")
    folder, threads = tmp_path / "tb", threading.active_count()

    def write():
        with MetricsWriter(tmp_path / "m.jsonl", step=0, tensorboard=folder) as writer:
            writer.write("train", 1, {"loss": 0.5})

    with full_disk(folder, math.inf) as disk:
        write()
    for fails_from in range(2, disk.count + 1):
        with pytest.raises(OSError) as error, full_disk(folder, fails_from):
            write()
        assert error.value.errno == errno.ENOSPC
        assert str(error.value.filename).startswith(str(folder))
    assert disk.count > 2
    assert threading.active_count() == threads  # none that could print a traceback later
