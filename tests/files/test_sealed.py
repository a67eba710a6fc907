"""Sealed JSON files: any damage or edit is one sentence, and old files are read."""

import json
import logging
import os

import numpy as np
import pytest

from rdvar_jax.errors import CheckpointError
from rdvar_jax.files.sealed import (
    MAX_BYTES,
    MAX_LINE_BYTES,
    DamagedFile,
    Entries,
    content_hash,
    read_sealed,
    read_sealed_lines,
    sealed_line,
    write_sealed,
)

ENTRIES = Entries({"number": float, "name": str}, old=frozenset({"more"}))
VALUE = {"number": 0.25, "name": "caf\u00e9 \udcff", "more": {"a": [1, None, True, {"b": 1e-7}]}}
WAY_OUT = "make it again."


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "kept.json"
    write_sealed(path, VALUE)
    return path


def refused(path) -> str:
    with pytest.raises(DamagedFile) as caught:
        read_sealed(path, ENTRIES, WAY_OUT)
    message = str(caught.value)
    assert isinstance(caught.value, CheckpointError)
    assert message.startswith(f"{path} ") and message.endswith(WAY_OUT)
    assert message.isprintable()
    return message


def test_there_and_back_with_a_visible_seal(path):
    kept = read_sealed(path, ENTRIES, WAY_OUT)
    assert kept.is_sealed and kept.value == VALUE
    entries = json.loads(path.read_text())
    assert list(entries) == ["format", *VALUE, "sha256"]
    # The rule of the page, computed without this project's code.
    import hashlib

    rest = {name: entry for name, entry in entries.items() if name != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    assert entries["sha256"] == hashlib.sha256(text.encode()).hexdigest()


def test_it_may_be_written_in_another_layout(path):
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    assert read_sealed(path, ENTRIES, WAY_OUT).value == VALUE


def test_a_flipped_bit_is_refused_or_changes_nothing(path):
    content = path.read_bytes()
    # All bits of the names of the seal, and a seeded choice of the others.
    bits = set(np.random.default_rng(0).choice(8 * len(content), 400, replace=False).tolist())
    for name in (b'"format"', b'"sha256"'):
        start = 8 * content.index(name)
        bits.update(range(start, start + 8 * len(name)))
    harmless = 0
    for bit in bits:
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            kept = read_sealed(path, ENTRIES, WAY_OUT)
        except DamagedFile:
            continue
        assert kept.is_sealed and kept.value == VALUE, bit
        harmless += 1
    assert harmless < 10  # the case of letters in \u00e9 and in 1e-07


DAMAGE = {
    b"": "it is empty",
    b" \n": "it is empty",
    b'{"number": 0.25': "it is not JSON: Expecting ',' delimiter in line 1",
    b"\xff\xfe{": "it is not UTF-8 text",
    b"\xef\xbb\xbf{}": "it is not JSON: Unexpected UTF-8 BOM",
    b"[" * 200_000: "it is nested too deeply",
    b'{"a":' * 200_000: "it is nested too deeply",
    b"[1]": "it is not a JSON object",
    b"null": "it is not a JSON object",
    b'{"number": NaN, "name": ""}': "it holds NaN",
    b'{"number": -Infinity, "name": ""}': "it holds -Infinity",
    b'{"number": 1e999, "name": ""}': "Out of range float values",
    b'{"number": 1' + b"0" * 5000 + b"}": "it holds a number of 5001 digits",
    b'{"number": "1", "name": ""}': "number is str",
    b'{"number": true, "name": ""}': "number is bool",
    b'{"name": ""}': "number is missing",
    b'{"number": 1.5, "name": "", "sha257": "0"}': "'sha257' is unknown, and its sha256 is missing",
    b'{"format": 1, "number": 1.5, "name": ""}': "its sha256 was removed",
    b'{"number": 1.5, "name": "", "sha256": "0"}': "its sha256 does not fit its content",
    b'{"number": 1.5, "name": "", "sha256": null}': "its sha256 does not fit its content",
}


@pytest.mark.parametrize(("content", "reason"), DAMAGE.items(), ids=range(len(DAMAGE)))
def test_damage_is_one_sentence(path, content, reason):
    path.write_bytes(content)
    assert f"is damaged or was edited ({reason}" in refused(path)


def test_what_is_no_file_or_too_large_is_not_read(tmp_path):
    assert "cannot be read (it is not a file)" in refused(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "it is not a file" in refused(tmp_path / "pipe")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert "it is larger than 64 MiB" in refused(tmp_path / "large")
    with pytest.raises(FileNotFoundError):
        read_sealed(tmp_path / "none", ENTRIES, WAY_OUT)


def test_what_may_not_be_read_says_so(path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("rdvar_jax.files.sealed._read", refuse)
    assert refused(path) == (
        f"{path} cannot be read (Permission denied); make it readable, or make it again."
    )


def test_a_newer_format_is_named(path):
    entries = {"format": 2, **VALUE}
    path.write_text(json.dumps({**entries, "sha256": content_hash(entries)}))
    assert "its format is 2, of a newer version" in refused(path)


def test_files_of_earlier_versions_are_read(path):
    path.write_text(json.dumps(VALUE))
    kept = read_sealed(path, ENTRIES, WAY_OUT)
    assert not kept.is_sealed and kept.value == VALUE
    path.write_text(json.dumps({"title": "b", "number": 0.5}))
    renamed = Entries(ENTRIES.required, ENTRIES.old, {"title": "name"})
    assert read_sealed(path, renamed, WAY_OUT).value == {"name": "b", "number": 0.5}


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.jsonl"
    lines = [{"kind": "train", "step": step, "loss": step / 7} for step in range(1, 9)]
    path.write_text("".join(map(sealed_line, lines)))
    return path


def test_damaged_lines_are_left_out_with_one_warning(log, caplog):
    lines = log.read_bytes().splitlines(keepends=True)
    values = [value for _, value in read_sealed_lines(log)]
    assert [value["step"] for value in values] == list(range(1, 9)) and "sha256" not in values[0]
    assert not caplog.records
    lines[1] = b"[" * 100_000 + b"\n"
    lines[3] = lines[3].replace(b'"step": 4', b'"step": 5')
    lines[4] = b"\xff" + lines[4]
    lines[5] = b'{"kind": "train", "step": 6, "loss": 0.5}\n'  # the seal is gone
    lines[7] = lines[7][:-20]  # cut off by a kill
    log.write_bytes(b"".join(lines))
    with caplog.at_level(logging.WARNING, "rdvar_jax"):
        found = read_sealed_lines(log)
    assert found == [(lines[i].decode(), values[i]) for i in (0, 2, 6)]
    assert caplog.messages == [
        f"{log}: 4 damaged lines are left out (line 2, 4, 5, 6); only curves of the training are "
        "drawn from this file"
    ]


def test_a_flipped_bit_of_a_line_costs_that_line_at_most(log):
    content, values = log.read_bytes(), [value for _, value in read_sealed_lines(log)]
    rng = np.random.default_rng(0)
    for bit in rng.choice(8 * len(content), 300, replace=False).tolist():
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        log.write_bytes(flipped)
        found = [value for _, value in read_sealed_lines(log)]
        assert len(found) >= 6 and all(value in values for value in found), bit


def test_a_line_without_an_end_is_not_kept_in_memory(log):
    with log.open("ab") as file:
        file.truncate(log.stat().st_size + 3 * MAX_LINE_BYTES)
    assert len(read_sealed_lines(log)) == 8
    with log.open("ab") as file:
        file.write(b"\n" + sealed_line({"kind": "train", "step": 9}).encode())
    assert [value["step"] for _, value in read_sealed_lines(log)] == list(range(1, 10))


def test_lines_of_earlier_versions_come_before_sealed_ones(tmp_path, caplog):
    path = tmp_path / "log.jsonl"
    old = '{"kind": "train", "step": 1, "loss": 0.5}\n'
    odd = '{"kind": "train", "step": 2, "loss": "0.5"}\n'  # as if a seal had lost its name
    path.write_text(old + odd + sealed_line({"kind": "epoch", "step": 3}) + old)
    assert [value["step"] for _, value in read_sealed_lines(path)] == [1, 3]
    assert "2 damaged lines are left out (line 2, 4)" in caplog.text
    assert read_sealed_lines(tmp_path / "none") == []
