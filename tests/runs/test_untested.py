"""A run without an evaluation, described from its folder."""

from rdvar_jax.runs.config import default_config
from rdvar_jax.runs.result_files import RESULTS
from rdvar_jax.runs.untested import describe_untested
from rdvar_jax.runs.workdir import Workdir
from rdvar_jax.training.manifest import write_manifest

PROVENANCE = {"settings": {}, "teacher": "1" * 64}


def save(folder, step: int, epoch: float, **provenance) -> None:
    path = folder / "checkpoints" / str(step)
    path.mkdir(parents=True)
    (path / "state").write_text(str(step))
    write_manifest(path, step, epoch, {"train_loss": 1 / step}, PROVENANCE | provenance)


def test_the_latest_and_the_best_state(tmp_path):
    save(tmp_path, 10, 1.0)
    save(tmp_path, 20, 2.0)
    config, workdir = default_config(), Workdir(tmp_path)
    results, evaluation = describe_untested(config, workdir, "latest")
    assert (results["step"], results["epoch"], results["chosen_by"]) == (20, 2.0, "last step")
    assert results["teacher"] == {
        "arch": config.teacher.arch,
        "sha256": "1" * 64,
        "source_sha256": None,
    }
    assert results["seed"] == config.train.seed
    assert results["lambda_var"] == config.loss.lambda_var
    assert evaluation["settings"]["data.image_size"] == config.data.image_size
    best, _ = describe_untested(config, workdir, "best")
    assert (best["step"], best["chosen_by"]) == (20, "train_loss")
    assert best["checkpoint_sha256"] == results["checkpoint_sha256"]
    # All that a reader of results.json needs is there.
    assert results.keys() >= RESULTS.required.keys()


def test_before_the_first_state(tmp_path):
    results, _ = describe_untested(default_config(), Workdir(tmp_path), "latest")
    assert results["step"] is results["epoch"] is results["checkpoint_sha256"] is None
    assert results["metrics"] == {} and results["num_images"] == 0


def test_what_an_imported_run_and_a_loss_of_ones_own_leave_unknown(tmp_path):
    save(tmp_path, 10, 1.0, imported={"source": "x.pth"}, own_loss="mine")
    results, _ = describe_untested(default_config(), Workdir(tmp_path), "latest")
    assert results["seed"] is results["lambda_var"] is None
    assert results["imported"] == {"source": "x.pth"} and results["own_loss"] == "mine"
