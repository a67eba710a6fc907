"""Runs of the real command line, small enough for every test run."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

# A quarter of configs/smoke.py: three steps an epoch on the toy category.
SMALL = (
    "--config.data.image_size=32",
    "--config.teacher.stem_width=4",
    "--config.train.batch_size=4",
    "--config.train.epochs=4",
    "--config.train.checkpoint_every_epochs=1",
    "--config.train.log_every_steps=1",
    "--config.score.batch_size=4",
)

# As root, permissions bind only once CAP_DAC_OVERRIDE (1) and, for reading, CAP_DAC_READ_SEARCH (2)
# are out of the bounding set (24), from the next program on. Not a preexec_fn: that forks, which
# JAX warns of once it runs in this process.
DROP_ROOT_POWERS = """
import ctypes, os, sys
for power in (1, 2):
    ctypes.CDLL(None).prctl(24, power)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


class Rdvar:
    """Starts `rdvar` in a process of its own, as a user does."""

    def __init__(self, root: Path, cache: Path):
        self.root = root
        self.environment = {
            **os.environ,
            "JAX_COMPILATION_CACHE_DIR": str(REPOSITORY / ".cache" / "xla-tests"),
            "RDVAR_CACHE": str(cache),
            "JAX_NUM_CPU_DEVICES": "1",
        }

    def command(self, *args) -> list[str]:
        return [sys.executable, "-m", "rdvar_jax", *map(str, args)]

    def train_args(self, workdir, *settings) -> tuple:
        return (
            "train",
            "--config",
            f"{REPOSITORY / 'configs' / 'smoke.py'}:tile",
            f"--config.data.root={self.root}",
            *SMALL,
            "--workdir",
            workdir,
            *settings,
        )

    def run(self, *args, root_powers: bool = True, **options) -> subprocess.CompletedProcess:
        python, *words = self.command(*args)
        return subprocess.run(
            [python, *words] if root_powers else [python, "-c", DROP_ROOT_POWERS, *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            **options,
        )

    def train(self, workdir, *settings, **options) -> subprocess.CompletedProcess:
        return self.run(*self.train_args(workdir, *settings), **options)

    def evaluate(self, workdir, *settings) -> subprocess.CompletedProcess:
        return self.run("evaluate", "--workdir", workdir, *settings)


def assert_one_sentence(done: subprocess.CompletedProcess, *parts: str) -> None:
    """Exit code 2, one line on standard error that holds all parts, and no traceback."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("rdvar: ")]
    assert len(lines) == 1, done.stderr
    for part in parts:
        assert part in lines[0], lines[0]
