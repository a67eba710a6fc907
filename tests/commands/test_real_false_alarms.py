"""Real images: false alarms come no oftener than the threshold promises."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from rdvar_process import REPOSITORY, Rdvar
from scipy import stats

pytestmark = [pytest.mark.slow, pytest.mark.real_data]


@dataclass(frozen=True)
class RealRun:
    """A short run at 96 px, with good images kept from it, and what they are enough to show."""

    workdir: Path
    test: Path
    target: float


@pytest.fixture(scope="module")
def real_run(shared, tmp_path_factory) -> tuple[RealRun, Rdvar]:
    # 19 of 64 are kept: enough for this rate with confidence 0.95.
    category, share, target, epochs = "leather_tiles", 0.3, 0.15, 8
    folder = tmp_path_factory.mktemp(category)
    data = shared / "data" / "mvtec_256"
    rdvar = Rdvar(data, folder / "cache")
    rdvar.environment.pop("XLA_FLAGS", None)  # with optimisations, as users run it
    done = rdvar.run(
        *("train", "--config", f"{REPOSITORY / 'configs' / 'mvtec_resnet18.py'}:{category}"),
        *(f"--config.data.root={data}", "--config.data.image_size=96"),
        f"--config.data.validation={share}",
        f"--config.teacher.weights={shared / 'weights' / 'resnet18_imagenet_conv1_to_layer3.pth'}",
        f"--config.train.epochs={epochs}",
        *("--workdir", folder / "run"),
    )
    assert done.returncode == 0, done.stderr
    return RealRun(folder / "run", data / category / "test", target), rdvar


def predict(rdvar, run, inputs, output) -> list[dict]:
    done = rdvar.run(
        *("predict", "--workdir", run.workdir, "--output", output, "--noheat_maps"),
        *("--nooverlays", "--input", *inputs),
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in (output / "scores.jsonl").read_text().splitlines()]


def test_false_alarms_are_no_oftener_than_promised(real_run, tmp_path):
    run, rdvar = real_run
    done = rdvar.run("threshold", "--workdir", run.workdir, f"--target={run.target}")
    assert done.returncode == 0, done.stderr
    stored = json.loads((run.workdir / "threshold.json").read_text())
    assert stored["split"] == "validation" and stored["fpr_bound"] <= run.target
    good = predict(rdvar, run, [run.test / "good"], tmp_path / "good")
    assert all(line["threshold"] == pytest.approx(stored["threshold"]) for line in good)
    num_false = sum(line["verdict"] == "defective" for line in good)
    # What n images can refute: a true rate of the target gives this many or more alarms in fewer
    # than 1 of 20 such sets.
    assert stats.binom.sf(num_false - 1, len(good), run.target) > 0.05, num_false
    # And it is no threshold above everything: defects are found.
    bad = predict(rdvar, run, [run.test / "fold"], tmp_path / "bad")
    assert any(line["verdict"] == "defective" for line in bad)

    # Chosen from half of the held-out good images and checked on the other half.
    images = sorted((run.test / "good").iterdir())
    halves = tmp_path / "chosen", tmp_path / "checked"
    for number, image in enumerate(images):
        halves[number % 2].mkdir(exist_ok=True)
        shutil.copy(image, halves[number % 2])
    target = 0.2
    done = rdvar.run(
        *("threshold", "--workdir", run.workdir, "--input", halves[0], f"--target={target}")
    )
    assert done.returncode == 0, done.stderr
    rest = predict(rdvar, run, [halves[1]], tmp_path / "rest")
    num_false = sum(line["verdict"] == "defective" for line in rest)
    assert stats.binom.sf(num_false - 1, len(rest), target) > 0.05, num_false
