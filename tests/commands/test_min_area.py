"""`--min_area`: regions that are too small do not make an image defective."""

import numpy as np
import pytest
from rdvar_process import assert_one_sentence
from resealed import unsealed
from run_files import read_lines

from rdvar_jax import Detector, Run
from rdvar_jax.commands.export import export
from rdvar_jax.errors import ConfigError
from rdvar_jax.runs.workdir import Workdir, load_config

QUIET = ("--noheat_maps", "--nooverlays")


def predict(rdvar, workdir, output, *args) -> dict[str, dict]:
    options = ("--workdir", workdir, "--input", rdvar.root / "tile" / "test", "--output", output)
    done = rdvar.run("predict", *options, *QUIET, *args)
    assert done.returncode == 0, done.stderr
    return {line["path"]: line for line in read_lines(output / "scores.jsonl")}


@pytest.mark.slow
def test_prediction_and_bundle_give_the_same_verdicts(rdvar, finished, tmp_path):
    before = predict(rdvar, finished.workdir, tmp_path / "before")
    largest = {
        name: max((region["area"] for region in line["regions"]), default=0)
        for name, line in before.items()
    }
    defective = [name for name, line in before.items() if line["verdict"] == "defective"]
    min_area = min(largest[name] for name in defective) + 1
    assert any(largest[name] >= min_area for name in defective)  # some stay defective

    output = tmp_path / "after"
    after = predict(rdvar, finished.workdir, output, "--min_area", min_area)
    assert unsealed(output / "prediction.json")["thresholds"]["min_area"] == min_area
    for name, line in after.items():
        kept = [one for one in before[name]["regions"] if one["area"] >= min_area]
        assert line["regions"] == kept and line["num_regions"] == len(kept)
        is_defective = name in defective and largest[name] >= min_area
        assert line["verdict"] == ("defective" if is_defective else "good")
        assert line["score"] == before[name]["score"]

    run = Workdir(finished.workdir)
    config = load_config(run)
    config.score.min_area = min_area
    images = [rdvar.root / "tile" / "test" / name for name in after]
    verdicts = [line["verdict"] == "defective" for line in after.values()]
    for name, file_format in (("part.rdvar", "stablehlo"), ("part.onnx", "onnx")):
        export(config, run, tmp_path / name, file_format=file_format)
        found = Detector.load(tmp_path / name).predict(images)
        assert np.array_equal(found.verdicts, verdicts)


@pytest.mark.slow
def test_without_a_threshold_of_pixels_it_is_one_sentence(rdvar, trained, finished, tmp_path):
    photos = ("--input", rdvar.root / "tile" / "test", "--output", tmp_path / "out")
    for workdir, *more in (
        (trained, "--min_area=5"),
        (finished.workdir, "--min_area=5", "--threshold=0.1", "--config.score.pooling=0.1"),
    ):
        done = rdvar.run("predict", "--workdir", workdir, *photos, *more)
        assert_one_sentence(done, "score.min_area=5 needs a threshold of pixels; run rdvar thres")
    done = rdvar.run("predict", "--workdir", trained, *photos, "--min_area=-1")
    assert_one_sentence(done, "score.min_area=-1 must be at least 0")
    config = load_config(Workdir(trained))
    config.score.min_area = 5
    with pytest.raises(ConfigError, match=r"score\.min_area=5 needs a threshold of pixels"):
        export(config, Workdir(trained), tmp_path / "part.rdvar")
    assert not (tmp_path / "part.rdvar").exists()
    assert Run.open(trained).config.score.min_area == 0
