"""One page of an evaluated run, from the command line."""

import json
import shutil
from pathlib import Path

import pytest
from rdvar_process import assert_one_sentence
from resealed import seal_again

from rdvar_jax.commands.report import write_report
from rdvar_jax.errors import UserError
from rdvar_jax.runs.workdir import Workdir


@pytest.fixture
def run(finished) -> Path:
    """A run with a threshold, evaluated."""
    return finished.workdir


def refused(folder: Path, *args, **options) -> str:
    with pytest.raises(UserError) as caught:
        write_report(Workdir(folder), *args, **options)
    return str(caught.value)


def test_the_page_says_what_the_files_hold(finished, run, copy_of, tmp_path):
    assert finished.said["report"].stdout == f"report: {run / 'report.html'}\n"
    page = (run / "report.html").read_text()
    results = json.loads((run / "results.json").read_text())
    for name in ("image_auroc", "pixel_auroc", "aupro"):
        assert f"<dd>{results['metrics'][name]:.3f}</dd>" in page
    stored = results["thresholds"]["stored"]
    assert f"<b>{stored['num_found']} of 4</b> defective found" in page
    assert page.count("<figure") == 5 + 7  # plots, and every image of the small set
    assert len(page) < 1_000_000
    # Nothing but the small files of the run is needed.
    workdir = copy_of(run)
    for folder in ("checkpoints", "figures"):
        shutil.rmtree(workdir / folder)
    again = write_report(Workdir(workdir), output=tmp_path / "again.html")
    assert again.read_text() == page


def test_a_threshold_of_another_state_is_not_shown(run, copy_of):
    workdir = Workdir(copy_of(run))
    assert "None chosen yet" not in write_report(workdir).read_text()
    for change in ({"checkpoint_sha256": "0"}, {"score": {"score.sigma": 2.0}}):
        seal_again(workdir.folder / "threshold.json", **change)
        page = write_report(workdir).read_text()
        assert "None chosen yet" in page and "oracle" in page


def test_what_cannot_be_reported_is_one_sentence(rdvar, trained, run, copy_of, tmp_path):
    done = rdvar.run("report", "--workdir", trained)
    assert_one_sentence(done, "results.json is missing", f"rdvar evaluate --workdir {trained}")
    folder = copy_of(run)
    (folder / "report.html").write_text("old")
    assert "--checkpoint best first" in refused(folder, "best")
    scores = folder / "scores.csv"
    scores.write_text(scores.read_text().replace("spot", "spit"))
    assert f"{scores} is not of the last evaluation; run rdvar evaluate" in refused(folder)
    (folder / "evaluation.json").write_text('{"half')
    assert "evaluation.json is damaged or was edited (it is not JSON" in refused(folder)
    assert (folder / "report.html").read_text() == "old"
    assert "config.json" in refused(tmp_path)
    nowhere = tmp_path / "no" / "page.html"
    assert f"{nowhere} cannot be written" in refused(run, output=nowhere)
