"""Start-up times: a new process for each measurement, in turn."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from benchmark_rows.process import HERE, OthersClock, row_command
from benchmark_rows.serve import Settings
from benchmark_rows.summary import compare, summarise

IMPORTS = {
    "import: command line": "import rdvar_jax.cli.main",
    "import: scoring": "import rdvar_jax.scoring.scores, rdvar_jax.data.sets.inputs",
    "import: training": "import rdvar_jax.commands.train, rdvar_jax.runs.config",
}
ANOMALIB = "import: anomalib"


def measure_start_up(
    settings: Settings, rounds: int, anomalib_python: str | None, max_others: float
) -> dict[str, Any]:
    """The group `start_up`: help, imports, and the first train step and scoring of a process.

    "cold" has an empty folder of compiled programs, "warm" the one that the cold process of the
    same round left. Their time is from the start of the process to the end of its first call.

    Args:
        settings: backbone and sizes; batch of the first step and of scoring.
        rounds: how often each is started.
        anomalib_python: an interpreter with anomalib, or None.
        max_others: as in `compare`.
    """
    commands = {"rdvar --help": [sys.executable, "-m", "rdvar_jax", "--help"]}
    commands |= {name: [sys.executable, "-c", code] for name, code in IMPORTS.items()}
    if anomalib_python:
        code = f"import sys; sys.path.insert(0, {str(HERE)!r}); import anomalib_import"
        commands[ANOMALIB] = [anomalib_python, "-c", code]
    times: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for name, command in commands.items():
            times.setdefault(name, []).append(time_process(command, dict(os.environ)))
        for row in ("train", "score"):
            with tempfile.TemporaryDirectory() as cache:
                environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": cache}
                command = row_command(sys.executable, "jax", replace(settings, row=row))
                for state in ("cold", "warm"):
                    timed = time_process(command, environment, ready_seconds)
                    times.setdefault(f"first {row}: {state}", []).append(timed)
    rows = {name: summarise(calls, {}) for name, calls in times.items()}
    pairs = [(f"first {row}: warm", f"first {row}: cold") for row in ("train", "score")]
    if anomalib_python:
        pairs += [("import: scoring", ANOMALIB), ("import: training", ANOMALIB)]
    return compare(rows, pairs, max_others)


def time_process(
    command: Sequence[str],
    environment: dict[str, str],
    seconds_of: Callable[[str], float] | None = None,
    quiet: bool = False,
) -> dict[str, float]:
    """Runs a command to its end.

    Args:
        command: with no standard input.
        environment: all of it.
        seconds_of: reads the time from what the command printed; by default it is the whole run.
        quiet: show what it says on standard error only if it fails.

    Raises:
        SystemExit: the command failed; it has said why.
    """
    with tempfile.TemporaryFile("w+") as said:
        clock, start = OthersClock(), time.perf_counter()
        with subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said if quiet else None,
            text=True,
        ) as process:
            assert process.stdout is not None
            output = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)  # what this one process has used
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds, cpu = time.perf_counter() - start, usage.ru_utime + usage.ru_stime
        if process.returncode:
            said.seek(0)
            code = process.returncode
            raise SystemExit(f"{said.read()[-2000:]}\nexit code {code} of {' '.join(command)}")
    return {
        "seconds": seconds_of(output) if seconds_of else seconds,
        "cpu_seconds": cpu,
        "peak_gb": usage.ru_maxrss / 1e6,  # Linux: kB
        "others_cores": clock.cores(cpu),
    }


def ready_seconds(output: str) -> float:
    """From what a row's process prints first."""
    return json.loads(output.splitlines()[0])["ready_seconds"]


def installed_size(python: str, distribution: str) -> dict[str, int]:
    """Returns the size of an installation on disk, from `installed_size.py`."""
    command = [python, str(HERE / "installed_size.py"), distribution]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def arithmetic(settings: Settings) -> dict[str, float]:
    """Returns GFLOP per image by kind of row, from `arithmetic.py`, which must not touch a GPU."""
    command = [sys.executable, str(HERE / "arithmetic.py"), row_command("", "", settings)[-1]]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)
