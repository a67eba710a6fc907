"""Runs of the command line, small enough for every test run."""

import os
import subprocess
import sys
from pathlib import Path

import jax
from in_process import call_rdvar

REPOSITORY = Path(__file__).resolve().parents[2]

# A quarter of configs/smoke.py: 20 steps on the toy category, after which some defects are found.
SMALL = (
    "--config.data.image_size=32",
    "--config.teacher.stem_width=4",
    "--config.train.batch_size=4",
    "--config.train.epochs=8",
    "--config.train.checkpoint_every_epochs=2",
    "--config.train.log_every_steps=1",
    "--config.score.batch_size=4",
    "--config.parallel.num_devices=1",  # of the tests' four
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

MAIN = "import sys; from rdvar_jax.cli.main import main; sys.exit(main(sys.argv[1:]))"


class Rdvar:
    """`rdvar` on one folder of categories: in this process, or where a test needs it in its own.

    Args:
        root: the folder of categories; the toy category is "tile".
        cache: takes the place of the user's cache folder.
    """

    def __init__(self, root: Path, cache: Path):
        self.root = root
        self.environment = {
            **os.environ,
            "JAX_COMPILATION_CACHE_DIR": str(jax.config.values["jax_compilation_cache_dir"]),
            "RDVAR_CACHE": str(cache),
            # As in this process: results are compared bit for bit, and XLA's threads count.
            "JAX_NUM_CPU_DEVICES": str(jax.config.values["jax_num_cpu_devices"]),
        }

    @classmethod
    def as_users_run_it(cls, root: Path, cache: Path) -> "Rdvar":
        """For real images, in processes of their own: with XLA's optimisations."""
        rdvar = cls(root, cache)
        rdvar.environment.pop("XLA_FLAGS", None)
        rdvar.environment |= {
            "JAX_COMPILATION_CACHE_DIR": str(REPOSITORY / ".cache" / "xla-full-size"),
            "JAX_NUM_CPU_DEVICES": "1",
        }
        return rdvar

    def run(self, *args, **environment: str) -> subprocess.CompletedProcess:
        """Calls a command in this process; keywords are added to its environment."""
        return call_rdvar(*args, RDVAR_CACHE=self.environment["RDVAR_CACHE"], **environment)

    def train(self, workdir, *settings) -> subprocess.CompletedProcess:
        return self.run(*self.train_args(workdir, *settings))

    def evaluate(self, workdir, *settings) -> subprocess.CompletedProcess:
        return self.run("evaluate", "--workdir", workdir, *settings)

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

    def train_resnet18_args(self, category: str, weights: Path, workdir, *settings) -> tuple:
        """Arguments for the real network on one of MVTec AD's categories."""
        return (
            *("train", "--config", f"{REPOSITORY / 'configs' / 'mvtec_resnet18.py'}:{category}"),
            *(f"--config.data.root={self.root}", f"--config.teacher.weights={weights}"),
            *("--workdir", workdir, *settings),
        )

    def process(
        self, *args, root_powers: bool = True, before: str = "", timeout: float = 300
    ) -> subprocess.CompletedProcess:
        """Runs a command in a process of its own.

        Args:
            args: as for `run`.
            root_powers: False lets permissions bind root too.
            before: Python code that the process runs first.
            timeout: in seconds.
        """
        command = self.command(*args, before=before)
        if not root_powers:
            command = [command[0], "-c", DROP_ROOT_POWERS, *command[1:]]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=timeout
        )

    def start(self, *args, before: str = "", **options) -> subprocess.Popen:
        """Starts a command in a process of its own, with pipes for what it says."""
        options = {"env": self.environment, **options}
        return subprocess.Popen(
            self.command(*args, before=before),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def command(self, *args, before: str = "") -> list[str]:
        first = ["-c", f"{before}\n{MAIN}"] if before else ["-m", "rdvar_jax"]
        return [sys.executable, *first, *map(str, args)]


def assert_one_sentence(done: subprocess.CompletedProcess, *parts: str) -> None:
    """Exit code 2, one line on standard error that holds all parts, and no traceback."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("rdvar: ")]
    assert len(lines) == 1, done.stderr
    for part in parts:
        assert part in lines[0], lines[0]
