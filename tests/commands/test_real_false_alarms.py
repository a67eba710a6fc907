"""Real images: false alarms come no oftener than the threshold promises."""

import json
import shutil

import pytest
from run_files import read_lines
from scipy import stats

pytestmark = [pytest.mark.slow, pytest.mark.real_data]


# With this confidence, 19 images are enough to show it.
TARGET, CONFIDENCE = 0.15, "--confidence=0.95"


def predict(real, workdir, inputs, output) -> list[dict]:
    done = real.process(
        *("predict", "--workdir", workdir, "--output", output, "--noheat_maps"),
        *("--nooverlays", "--input", *inputs),
    )
    assert done.returncode == 0, done.stderr
    return read_lines(output / "scores.jsonl")


def test_false_alarms_are_no_oftener_than_promised(real, leather, copy_of, tmp_path):
    workdir, test = copy_of(leather), real.root / "leather_tiles" / "test"
    done = real.process("threshold", "--workdir", workdir, f"--target={TARGET}", CONFIDENCE)
    assert done.returncode == 0, done.stderr
    stored = json.loads((workdir / "threshold.json").read_text())
    assert stored["split"] == "validation" and stored["fpr_bound"] <= TARGET
    good = predict(real, workdir, [test / "good"], tmp_path / "good")
    assert all(line["threshold"] == pytest.approx(stored["threshold"]) for line in good)
    num_false = sum(line["verdict"] == "defective" for line in good)
    # What n images can refute: a true rate of the target gives this many or more alarms in fewer
    # than 1 of 20 such sets.
    assert stats.binom.sf(num_false - 1, len(good), TARGET) > 0.05, num_false
    # And it is no threshold above everything: defects are found.
    bad = predict(real, workdir, [test / "fold"], tmp_path / "bad")
    assert any(line["verdict"] == "defective" for line in bad)

    # Chosen from half of the held-out good images and checked on the other half.
    images = sorted((test / "good").iterdir())
    halves = tmp_path / "chosen", tmp_path / "checked"
    for number, image in enumerate(images):
        halves[number % 2].mkdir(exist_ok=True)
        shutil.copy(image, halves[number % 2])
    target = 0.2
    done = real.process(
        *("threshold", "--workdir", workdir, "--input", halves[0], f"--target={target}"),
        CONFIDENCE,
    )
    assert done.returncode == 0, done.stderr
    rest = predict(real, workdir, [halves[1]], tmp_path / "rest")
    num_false = sum(line["verdict"] == "defective" for line in rest)
    assert stats.binom.sf(num_false - 1, len(rest), target) > 0.05, num_false
