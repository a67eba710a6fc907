"""Starts `tools/reproduce.py`, on runs small enough for every test run."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
TOOLS = REPOSITORY / "tools"

# Three steps an epoch on the toy category, with a narrow untrained net.
SMALL = (
    "--config.data.image_size=32",
    "--config.teacher.stem_width=4",
    "--config.train.batch_size=4",
    "--config.score.batch_size=4",
    "--config.train.log_every_steps=1",
)


class Reproduce:
    """Starts `tools/reproduce.py` in a process of its own, as a user does."""

    def __init__(self, root: Path, cache: Path):
        self.root = root
        self.environment = {
            **os.environ,
            "JAX_COMPILATION_CACHE_DIR": str(REPOSITORY / ".cache" / "xla-tests"),
            "RDVAR_CACHE": str(cache),
            "JAX_NUM_CPU_DEVICES": "1",
        }

    def command(self, output: Path, *args, small: bool = True) -> list[str]:
        own = ("--config", REPOSITORY / "configs" / "smoke.py", *SMALL) if small else ()
        words = ("--data.root", self.root, "--output", output, *own, *args)
        return [str(word) for word in (sys.executable, TOOLS / "reproduce.py", *words)]

    def run(self, output: Path, *args, small: bool = True) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.command(output, *args, small=small),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            cwd=output.parent,
        )
