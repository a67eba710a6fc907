"""Each command as a process of its own, as users start it.

Of the others `train` is started by test_resume.py, `predict` by test_watch.py, `inspect` by
test_on_error.py and `prepare` by test_tfds_run.py.
"""

import hashlib
import json

import pytest

OUTPUT = "part.rdvar"


@pytest.mark.parametrize(
    ("command", "args", "said"),
    [
        ("evaluate", ["--config.report.max_figures=1"], "image_auroc"),
        ("threshold", ["--method=quantile"], "no bound on the false-positive rate"),
        ("report", [], "report.html"),
        ("export", ["--output", OUTPUT], "exported part.rdvar"),
    ],
)
def test_a_command_does_what_it_does_in_the_tests_own_process(
    rdvar, finished, copy_of, monkeypatch, command, args, said
):
    workdir = copy_of(finished.workdir)
    monkeypatch.chdir(workdir.parent)
    done = rdvar.process(command, "--workdir", workdir, *args)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
    if command == "evaluate":
        found, expected = (
            json.loads((folder / "results.json").read_text())["metrics"]
            for folder in (workdir, finished.workdir)
        )
        assert found == expected
    elif command == "threshold":
        assert json.loads((workdir / "threshold.json").read_text())["method"] == "quantile"
    else:
        path, expected = {
            "report": (workdir / "report.html", finished.workdir / "report.html"),
            "export": (workdir.parent / OUTPUT, finished.exports / OUTPUT),
        }[command]
        assert sha256(path) == sha256(expected)


def sha256(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
