"""Whether the teacher's features are kept is a setting, a budget, and no part of a run."""

from pathlib import Path

import pytest
from run_files import metrics_lines


def losses(workdir: Path) -> list[float]:
    return [line["loss"] for line in metrics_lines(workdir) if line["kind"] == "train"]


def test_features_are_kept_by_default(finished):
    assert "teacher features computed once and kept" in finished.said["train"].stderr


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        (("--config.train.cache_budget_gb=1e-9",), False),
        pytest.param(("--config.train.cache_features=off",), False, marks=pytest.mark.slow),
        pytest.param(("--config.train.cache_features=on",), True, marks=pytest.mark.slow),
    ],
)
def test_features_are_kept_where_they_fit_and_may_be(rdvar, trained, tmp_path, settings, kept):
    done = rdvar.train(tmp_path / "run", "--config.train.epochs=1", *settings)
    assert done.returncode == 0, done.stderr
    said = "computed once and kept" if kept else "computed in every step"
    assert f"teacher features {said}" in done.stderr
    # The first step's: after it Adam makes steps out of rounding.
    assert losses(tmp_path / "run")[0] == pytest.approx(losses(trained)[0], rel=1e-5)


def test_what_does_not_fit_is_refused_if_asked_for(rdvar, tmp_path):
    budget = "--config.train.cache_budget_gb=1e-9"
    done = rdvar.train(tmp_path / "run", "--config.train.cache_features=on", budget)
    assert done.returncode == 2
    (sentence,) = (line for line in done.stderr.splitlines() if line.startswith("rdvar:"))
    assert "train.cache_features=on needs" in sentence
    assert "train.cache_budget_gb=1e-09; raise the budget, or use auto" in sentence
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_with_the_other_choice(rdvar, trained, copy_of):
    workdir = copy_of(trained)
    done = rdvar.train(workdir, "--config.train.epochs=9", "--config.train.cache_features=off")
    assert done.returncode == 0, done.stderr
    assert "resuming from step 20" in done.stderr and "computed in every step" in done.stderr
    assert losses(workdir)[:20] == losses(trained) and len(losses(workdir)) == 22
