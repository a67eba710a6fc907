"""The packaged teacher: small, complete, and described by its card."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

from rdvar_jax.errors import ConfigError
from rdvar_jax.models.build import build_teacher, image_shape
from rdvar_jax.models.initialise import abstract_variables
from rdvar_jax.models.teacher import normalise
from rdvar_jax.runs.checks import check_training
from rdvar_jax.runs.config import default_config
from rdvar_jax.weights.load_teacher import load_teacher
from rdvar_jax.weights.procedural import ARCH, PROCEDURAL, STEM_WIDTH, procedural_path

CARD = Path(__file__).resolve().parents[2] / "docs" / "teacher_card.md"


@pytest.fixture(scope="module")
def loaded():
    teacher = build_teacher(ARCH, STEM_WIDTH)
    expected = abstract_variables(teacher, image_shape(64))
    return teacher, *load_teacher(ARCH, PROCEDURAL, expected)


def test_it_is_small():
    assert procedural_path().stat().st_size < 6e6


def test_the_card_describes_this_file(loaded):
    _, variables, source = loaded
    card = CARD.read_text(encoding="utf-8")
    assert source.sha256 in card
    parameters = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    assert f"{parameters / 1e6:.2f} M parameters" in card
    assert f"{procedural_path().stat().st_size / 1e6:.2f} MB" in card
    assert "generated images only" in source.origin


def test_features_differ_from_place_to_place(loaded):
    teacher, variables, _ = loaded
    rows = np.arange(64, dtype=np.uint8).reshape(1, 64, 1, 1)
    stripes = np.broadcast_to(128 + 100 * ((rows // 8) % 2).astype(np.uint8), (1, 64, 64, 3))
    flat = np.full((1, 64, 64, 3), 128, np.uint8)
    for ours, plain in zip(
        teacher.apply(variables, normalise(stripes)),
        teacher.apply(variables, normalise(flat)),
        strict=True,
    ):
        assert np.isfinite(ours).all()
        cosine = np.sum(ours * plain, -1) / (
            np.linalg.norm(ours, axis=-1) * np.linalg.norm(plain, axis=-1)
        )
        assert np.median(cosine) < 0.95


@pytest.mark.parametrize(("arch", "width"), [("resnet18", 64), ("wide_resnet50_2", STEM_WIDTH)])
def test_another_network_is_refused(toy_root, arch, width):
    config = default_config()
    config.data.root, config.data.category = str(toy_root), "tile"
    config.teacher.weights = PROCEDURAL
    config.teacher.arch, config.teacher.stem_width = arch, width
    message = rf"needs teacher.arch={ARCH} and\s+teacher.stem_width={STEM_WIDTH}"
    with pytest.raises(ConfigError, match=re.compile(message)):
        check_training(config, num_local_devices=1)
