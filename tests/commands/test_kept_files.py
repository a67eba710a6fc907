"""Kept files that are damaged or edited: one sentence, and nothing is used, lost or deleted."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from rdvar_process import Rdvar, assert_one_sentence
from run_files import metrics_lines
from saved_state import assert_same_state

TRAIN_AGAIN = (
    "restore it from a copy, or remove it and run the same rdvar train command again, which writes "
    "it anew; settings are changed on the command line, such as --config.score.sigma=6."
)
THRESHOLD_AGAIN = (
    "run rdvar threshold, which chooses and writes it again, or remove it and give --threshold to "
    "rdvar predict or rdvar export."
)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def said(rdvar: Rdvar, *args) -> str:
    done = rdvar.run(*args)
    assert_one_sentence(done)
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("rdvar: "))
    return line.removeprefix("rdvar: ")


def test_an_edit_by_hand_is_refused_and_the_sentence_says_how_to_change_it(
    rdvar, finished, copy_of, tmp_path
):
    run = copy_of(finished.workdir)
    before = contents(run)
    edit(run / "config.json", '"sigma": 4.0', '"sigma": 6.0')
    predict = ("predict", "--workdir", run, "--input", rdvar.root / "tile" / "test" / "good")
    for args in (("evaluate", "--workdir", run), (*predict, "--output", tmp_path / "scores")):
        assert said(rdvar, *args) == (
            f"{run / 'config.json'} is damaged or was edited (its sha256 does not fit its "
            f"content); {TRAIN_AGAIN}"
        )
    shutil.copy(finished.workdir / "config.json", run)
    threshold = json.loads((run / "threshold.json").read_text())["threshold"]
    edit(run / "threshold.json", f'"threshold": {threshold!r}', f'"threshold": {threshold + 0.1!r}')
    for args in (("report", "--workdir", run), (*predict, "--output", tmp_path / "scores")):
        assert said(rdvar, *args) == (
            f"{run / 'threshold.json'} is damaged or was edited (its sha256 does not fit its "
            f"content); {THRESHOLD_AGAIN}"
        )
    shutil.copy(finished.workdir / "threshold.json", run)
    assert contents(run) == before
    assert not (tmp_path / "scores").exists()


DAMAGE = {
    "not UTF-8": lambda content: content.replace(b"a", b"\xff", 1),
    "deep": lambda content: b"[" * 100_000,
    "empty": lambda content: b"",
    "cut off": lambda content: content[:-9],
    "a lost key": lambda content: json.dumps(dict(list(json.loads(content).items())[1:])).encode(),
    "a lost seal": lambda content: json.dumps(
        {k: v for k, v in json.loads(content).items() if k != "sha256"}
    ).encode(),
    "no seal at all": lambda content: json.dumps(
        {k: v for k, v in json.loads(content).items() if k not in ("sha256", "format")}
    ).encode(),
    "a BOM": lambda content: b"\xef\xbb\xbf" + content,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_to_what_a_report_reads_is_one_sentence(rdvar, finished, copy_of, damage):
    run = copy_of(finished.workdir)
    names = {
        "results.json": f"run rdvar evaluate --workdir {run} first.",
        "evaluation.json": f"run rdvar evaluate --workdir {run} first.",
        "threshold.json": THRESHOLD_AGAIN,
        "config.json": TRAIN_AGAIN,
    }
    for name, way_out in names.items():
        (run / name).write_bytes(damage((finished.workdir / name).read_bytes()))
        if damage is DAMAGE["no seal at all"] and name in ("threshold.json", "config.json"):
            # As in a run of an earlier version. Those that read the checkpoint refuse it.
            message = said(rdvar, "export", "--workdir", run, "--output", run / "part.rdvar")
        else:
            message = said(rdvar, "report", "--workdir", run)
        assert message.startswith(f"{run / name} ") and message.endswith(way_out)
        shutil.copy(finished.workdir / name, run)


def test_training_resumes_past_a_damaged_manifest_and_a_damaged_line(
    rdvar, trained, copy_of, tmp_path
):
    run = copy_of(trained)
    newest = run / "checkpoints" / "20"
    kept = contents(newest)
    edit(newest / "manifest.json", '"step": 20', '"step": 21')
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    lines[2] = lines[2].replace('"step": ', '"step": 1')
    (run / "metrics.jsonl").write_text("".join(lines))
    done = rdvar.train(run)
    assert done.returncode == 0, done.stderr
    assert "checkpoint 20 is damaged (manifest.json: its sha256 does not fit" in done.stderr
    assert f"{run / 'metrics.jsonl'}: 1 damaged line is left out (line 3);" in done.stderr
    assert_same_state(run, trained)
    expected = metrics_lines(trained)
    assert metrics_lines(run) == expected[:2] + expected[3:]
    aside = run / "checkpoints_damaged" / "20"  # whole, but for the manifest
    assert {path.replace(str(aside), "") for path in contents(aside)} == {
        path.replace(str(newest), "") for path in kept
    }


def test_the_copy_of_the_teacher_is_checked_before_there_is_a_checkpoint(rdvar, trained, copy_of):
    run = copy_of(trained)
    shutil.rmtree(run / "checkpoints")
    path = run / "teacher.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1  # a weight
    path.write_bytes(content)
    assert said(rdvar, *rdvar.train_args(run)) == (
        f"{path} is damaged (its sha256 does not fit its content); restore it from a copy, or "
        "remove it and run the same rdvar train command again, which copies the teacher again"
    )
    shutil.rmtree(run)
    run = copy_of(trained)
    path.write_bytes(content)
    message = said(rdvar, "evaluate", "--workdir", run)
    assert message.startswith(f"{path} is damaged (its sha256 does not fit its content); ")


def test_every_result_names_the_checkpoint(finished):
    run = finished.workdir
    results = json.loads((run / "results.json").read_text())
    sha256 = results["checkpoint_sha256"]
    assert len(sha256) == 64
    assert json.loads((run / "evaluation.json").read_text())["checkpoint_sha256"] == sha256
    assert json.loads((run / "threshold.json").read_text())["checkpoint_sha256"] == sha256
    figures = list((run / "figures").glob("*.png"))
    assert len(figures) > 2
    for path in figures:
        with Image.open(path) as picture:
            assert picture.info["checkpoint_sha256"] == sha256


def test_every_file_is_on_disk_before_it_has_its_name(finished):
    order = json.loads((finished.trained.parent / "write_order.json").read_text())
    assert order["problems"] == []
    names = set(order["renamed"])
    assert names >= {
        "run/config.json",
        "run/teacher.safetensors",
        "run/metrics.jsonl",
        "run/checkpoints/.unfinished/20/manifest.json",
        "run/checkpoints/20",
        "run/threshold.json",
        "run/.results.part/figures/worst.png",
        "run/.results.part/results.json",
        "run/.results.part/evaluation.json",
        "run/.results.part/scores.csv",
        "run/.results.ready",
        "run/results.json",
        "run/evaluation.json",
        "run/scores.csv",
        "run/figures",
        "run/report.html",
        "exports/part.rdvar",
        "exports/part.onnx",
    }
