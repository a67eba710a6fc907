"""`tools/pretrain_teacher.py` makes a usable teacher, and always the same one."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rdvar_jax.models.build import build_teacher, image_shape
from rdvar_jax.models.initialise import abstract_variables
from rdvar_jax.weights.load_teacher import load_teacher

TOOL = Path(__file__).resolve().parents[2] / "tools" / "pretrain_teacher.py"
# The tools are scripts: what they import lies beside them.
sys.path.insert(0, str(TOOL.parent))
SMALL = ("--steps=2", "--num_photographs=16", "--image_size=32", "--stem_width=4")


def pretrain(output: Path, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, TOOL, "--output", output]
    command += [*SMALL, "--statistics_batches=1", *options]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--steps=0", "--spread_weight=0", "--spread_weight=0.5"])
def test_the_file_is_a_teacher(option, tmp_path):
    path = tmp_path / "teacher.safetensors"
    done = pretrain(path, option)
    assert done.returncode == 0, done.stderr
    expected = abstract_variables(build_teacher("resnet18", 4), image_shape(64))
    variables, source = load_teacher("resnet18", str(path), expected)
    assert np.isfinite(variables["params"]["layer3"]["block1"]["conv2"]["kernel"]).all()
    assert source.sha256 in done.stdout


@pytest.mark.slow
def test_the_same_seed_gives_the_same_file(tmp_path):
    for name in ("first", "second"):
        assert pretrain(tmp_path / name).returncode == 0
    assert pretrain(tmp_path / "other", "--seed=1").returncode == 0
    first, second, other = ((tmp_path / n).read_bytes() for n in ("first", "second", "other"))
    assert first == second != other


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--steps=-1", "--steps must be at least 0"),
        ("--stem_width=0", "--stem_width must be at least 1"),
        ("--num_photographs=20", "--num_photographs must be a multiple of 8"),
        ("--image_size=50", "--image_size must be a multiple of 32"),
        ("--seed=-1", "--seed must be at least 0"),
    ],
)
def test_bad_settings_are_one_sentence(option, message, tmp_path, monkeypatch, capsys):
    import pretrain_teacher as tool

    output = tmp_path / "teacher.safetensors"
    command = ["pretrain_teacher.py", f"--output={output}", *SMALL, option]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as info:
        tool.main()
    assert info.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.iterdir())
