"""STFPM from the command line: every command takes its runs."""

import numpy as np
import onnxruntime
import pytest
from conftest import TARGET
from run_files import read_scores

from rdvar_jax import Detector
from rdvar_jax.data.pixels.decode import decode_image

SETTINGS = (
    "--config.model.name=stfpm",
    "--config.loss.distillation=pixel",
    "--config.train.optimiser=sgd",
    "--config.train.learning_rate=0.1",
    "--config.train.weight_decay=1e-4",
    "--config.score.sigma=0",
)


@pytest.mark.slow
def test_every_command_takes_a_run_of_stfpm(rdvar, toy_root, tmp_path):
    run = tmp_path / "run"
    assert rdvar.train(run, *SETTINGS, "--config.train.epochs=6").returncode == 0
    resumed = rdvar.train(run, *SETTINGS)  # two epochs more
    assert "resuming from step" in resumed.stderr and resumed.returncode == 0
    good = toy_root / "tile" / "test" / "good"
    for command in (
        ("threshold", "--workdir", run, "--input", good, *TARGET),
        ("evaluate", "--workdir", run),
        ("report", "--workdir", run),
        ("predict", "--workdir", run, "--input", toy_root / "tile" / "test"),
        ("export", "--workdir", run, "--output", run / "a.rdvar"),
        ("export", "--workdir", run, "--output", run / "a.onnx", "--format", "onnx"),
    ):
        done = rdvar.run(*command)
        assert done.returncode == 0, done.stderr

    expected = read_scores(run / "scores.csv")
    paths = [toy_root / "tile" / name for name in expected]
    detector = Detector.load(run / "a.rdvar")
    found = detector.predict(paths)
    np.testing.assert_allclose(found.scores, list(expected.values()), rtol=1e-4)
    assert detector.manifest["model"]["name"] == "stfpm"
    session = onnxruntime.InferenceSession(run / "a.onnx")
    images = np.stack([decode_image(path, detector.geometry) for path in paths])
    (scores,) = session.run(["scores"], {"images": images})
    np.testing.assert_allclose(scores, list(expected.values()), rtol=1e-4)


@pytest.mark.slow
def test_it_is_no_checkpoint_of_rd4ad(rdvar, tmp_path):
    run = tmp_path / "run"
    assert rdvar.train(run, *SETTINGS, "--config.train.epochs=2").returncode == 0
    from rdvar_jax.commands.rd4ad import export_rd4ad
    from rdvar_jax.errors import ConfigError
    from rdvar_jax.runs.workdir import Workdir, load_config

    with pytest.raises(ConfigError, match="model.name=stfpm: RD4AD's checkpoints hold reverse"):
        export_rd4ad(load_config(Workdir(run)), Workdir(run), tmp_path / "a.pth")
    assert not (tmp_path / "a.pth").exists()
