"""The reference in PyTorch starts and goes on as a run here does; needs PyTorch."""

import numpy as np
import pytest

from rdvar_jax.errors import ConfigError
from rdvar_jax.runs.config import default_config, resolved


@pytest.fixture
def config(toy_root):
    config = default_config()
    config.data.root, config.data.category = str(toy_root), "tile"
    config.data.image_size = 64
    config.teacher.arch, config.teacher.weights = "basic-1-1-1-ocbe1", "random"
    config.teacher.stem_width = 8
    config.train.epochs, config.train.batch_size, config.train.seed = 2, 4, 3
    config.loss.lambda_var = 0.1
    config.parallel.num_devices = 1
    return resolved(config)


@pytest.mark.torch
def test_the_published_step_begins_as_ours(config, tmp_path):
    """Same first values, same batches, same losses: only rounding tells the two apart so early."""
    from reproduction import rdvar_program, torch_program

    ours = rdvar_program.train(config, tmp_path / "run")
    theirs = torch_program.train(config, tmp_path / "none")
    assert theirs.step == ours.step == 5 and [e["epoch"] for e in theirs.epochs] == [1, 2]
    for name in ("loss", "loss_model", "loss_var"):
        np.testing.assert_allclose(theirs.epochs[0][name], ours.epochs[0][name], rtol=1e-3)
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    features = [program.first_features(images) for program in (ours, theirs)]
    np.testing.assert_allclose(features[0][0], features[1][0], rtol=1e-4, atol=1e-4)
    assert features[0][1].shape == features[1][1].shape
    maps, scores = theirs.score(images)
    np.testing.assert_array_equal(scores, maps.max(axis=(1, 2)))
    np.testing.assert_allclose(maps, ours.score(images)[0], rtol=0.2)


@pytest.mark.torch
def test_a_setting_that_the_reference_lacks_is_refused(config, tmp_path):
    from reproduction import torch_program

    config.train.learning_rate = 0.01
    with pytest.raises(ConfigError, match="train.learning_rate=0.01: the reference has 0.005 only"):
        torch_program.train(config, tmp_path)
