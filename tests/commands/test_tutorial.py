"""The commands of docs/tutorial.md, one after the other as they stand there, on smaller images."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rdvar_process import REPOSITORY

TUTORIAL = (REPOSITORY / "docs" / "tutorial.md").read_text(encoding="utf-8")
# What makes the page's ten minutes one: each is put behind a command that it belongs to.
SMALLER = {
    "prepare --source synthetic": " --size 32",
    "--config.teacher.weights=procedural": " --config.data.image_size=32 --config.train.epochs=2",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TUTORIAL, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_every_command_does_what_the_page_says(rdvar, tmp_path):
    environment = {
        **rdvar.environment,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    installing, *commands = blocks("bash")
    assert "make install" in installing and len(commands) == 5
    said = []
    for block in commands:
        for text, more in SMALLER.items():
            block = block.replace(text, text + more)
        said.append(run("bash", "-euo", "pipefail", "-c", block))
    assert "plan: ResNet-18, 32x32 px, 2 epochs, 3 folds" in said[1]
    assert "of new good images are above it" in said[1] and "known defects" in said[1]
    assert re.search(r"^(part is good|exit code 1)$", said[3], flags=re.MULTILINE)

    (python,) = blocks("python")
    with (tmp_path / "one" / "scores.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    score, verdict = run(sys.executable, "-c", python).split()
    assert float(score.strip("[]")) == pytest.approx(float(row["score"]), rel=1e-5)
    assert (verdict == "[True]") == ("defective" in row["verdict"])
    for made in (
        "blister/report.html",
        "verdicts/index.html",
        "verdicts/scores.csv",
        "blister.rdvar",
    ):
        assert (tmp_path / made).stat().st_size > 0
