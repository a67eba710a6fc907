"""One page of a run, from the command line."""

import hashlib
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
    found, false = stored["num_found"], stored["num_false"]
    assert f"{found} of 4 defects found, {4 - found or 'none'} missed" in page
    assert f"{false} of {stored['num_good']} good images falsely alarmed" in page
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
    assert "No threshold yet" not in write_report(workdir).read_text()
    for change in ({"checkpoint_sha256": "0"}, {"score": {"score.sigma": 2.0}}):
        seal_again(workdir.folder / "threshold.json", **change)
        page = write_report(workdir).read_text()
        assert "No threshold yet" in page and "oracle" in page
        assert "of another saved state or of other settings" in page
        assert f"rdvar threshold --workdir {workdir.folder} --input" in page


def test_a_threshold_with_a_setting_that_the_evaluation_did_not_know(run, copy_of):
    workdir = Workdir(copy_of(run))
    settings = json.loads((workdir.folder / "evaluation.json").read_text())["settings"]
    assert "score.sigma" in settings
    # Of a version that has more settings of score: unknown here, so it belongs to another score.
    score = {"score.sigma": settings["score.sigma"], "score.of_tomorrow": 1}
    seal_again(workdir.folder / "threshold.json", score=score)
    assert "No threshold yet" in write_report(workdir).read_text()
    # Of a version that has fewer: what it did not write had the effect of the default.
    del settings["score.sigma"]
    seal_again(workdir.folder / "evaluation.json", settings=settings)
    seal_again(workdir.folder / "threshold.json", score={"score.sigma": 4.0})
    results = json.loads((workdir.folder / "results.json").read_text())
    digest = hashlib.sha256((workdir.folder / "evaluation.json").read_bytes()).hexdigest()
    files = results["files"] | {"evaluation.json": digest}
    seal_again(workdir.folder / "results.json", files=files)
    assert "No threshold yet" not in write_report(workdir).read_text()


def test_a_run_that_was_not_evaluated_has_a_page(rdvar, finished, trained, copy_of):
    workdir = copy_of(trained)
    done = rdvar.run("report", "--workdir", workdir)
    assert (done.returncode, done.stdout) == (0, f"report: {workdir / 'report.html'}\n")
    assert "was not evaluated" in done.stderr and len(done.stderr.splitlines()) == 1
    page = (workdir / "report.html").read_text()
    assert "Not tested yet" in page and "L_model" in page and "data.image_size" in page
    assert f"rdvar evaluate --workdir {workdir}\n" in page
    assert f"<code>{rdvar.root / 'tile' / 'test'}</code>" in page
    assert f"rdvar threshold --workdir {workdir} --input" in page and "Image AUROC" not in page
    # Its threshold is shown, unless it is of another state.
    shutil.copy(finished.workdir / "threshold.json", workdir)
    page = write_report(Workdir(workdir)).read_text()
    value = json.loads((workdir / "threshold.json").read_text())["threshold"]
    assert f"above <b>{value:.6g}</b>" in page and "It was chosen from the scores of 3" in page
    seal_again(workdir / "threshold.json", checkpoint_sha256="0")
    assert f"above <b>{value:.6g}</b>" not in write_report(Workdir(workdir)).read_text()
    # Before the first state is saved there is a page too.
    shutil.rmtree(workdir / "checkpoints")
    assert "training has not saved one" in write_report(Workdir(workdir)).read_text()


def test_what_cannot_be_reported_is_one_sentence(rdvar, run, copy_of, tmp_path):
    folder = copy_of(run)
    (folder / "report.html").write_text("old")
    (folder / "scores_best.csv").write_text("of a broken evaluation")
    assert "--checkpoint best first" in refused(folder, "best")
    (folder / "results.json").rename(folder / "aside.json")
    done = rdvar.run("report", "--workdir", folder)
    assert_one_sentence(done, "results.json is missing", f"rdvar evaluate --workdir {folder}")
    (folder / "aside.json").rename(folder / "results.json")
    scores = folder / "scores.csv"
    scores.write_text(scores.read_text().replace("spot", "spit"))
    assert f"{scores} is not of the last evaluation; run rdvar evaluate" in refused(folder)
    (folder / "evaluation.json").write_text('{"half')
    assert "evaluation.json is damaged or was edited (it is not JSON" in refused(folder)
    assert (folder / "report.html").read_text() == "old"
    assert "config.json" in refused(tmp_path)
    nowhere = tmp_path / "no" / "page.html"
    assert f"{nowhere} cannot be written" in refused(run, output=nowhere)
