"""The other end of `serve.py`: starts a row's process, and has it time its calls."""

import json
import os
import subprocess
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmark_rows.serve import Settings

HERE = Path(__file__).resolve().parent


def busy_seconds() -> float:
    """CPU seconds that all processes of this Linux machine have taken so far."""
    user, nice, system, _, _, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


class OthersClock:
    """Cores that other processes have kept busy since this was made."""

    def __init__(self):
        self._busy, self._start = busy_seconds(), time.perf_counter()

    def cores(self, own_cpu_seconds: float) -> float:
        """`own_cpu_seconds`: what the measured process itself has taken in this time."""
        others = busy_seconds() - self._busy - own_cpu_seconds
        return max(others, 0.0) / (time.perf_counter() - self._start)


def row_command(python: str, script: str, settings: Settings) -> list[str]:
    """The command of a row's process."""
    return [python, str(HERE / f"{script}_row.py"), json.dumps(asdict(settings))]


class Process:
    """One process, warmed up, that waits until one of its calls is timed.

    Its environment is this process's unless another one is given.

    Attributes:
        ready_seconds: from its start to the end of its warm-up.
        about: by call, what `serve.Call` says of it.
        pairs: of calls whose ratio is of interest.
        facts: its further facts.
    """

    def __init__(
        self,
        python: str,
        script: str,
        settings: Settings,
        environment: dict[str, str] | None = None,
        log: Path | None = None,
    ):
        # What the process says on standard error goes to `log`, if given, and into the error.
        self._log = log
        said = log.open("w") if log else None
        self.name = f"{script} {settings.row} {settings.batch}"
        self._process = subprocess.Popen(
            row_command(python, script, settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            stderr=said,
        )
        if said:
            said.close()
        ready = self._read()
        self.ready_seconds: float = ready["ready_seconds"]
        self.about: dict[str, dict[str, Any]] = ready["calls"]
        self.pairs: list[tuple[str, str]] = [(first, second) for first, second in ready["pairs"]]
        self.facts: dict[str, Any] = ready["facts"]

    def time_once(self, call: str) -> dict[str, float]:
        """Seconds of one run of a call, and how many cores others took meanwhile."""
        assert self._process.stdin is not None
        clock = OthersClock()
        self._process.stdin.write(call + "\n")
        self._process.stdin.flush()
        timed = self._read()
        timed["others_cores"] = clock.cores(timed["cpu_seconds"] * timed["repeats"])
        return timed

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            said = self._log.read_text()[-1000:] if self._log else "see above"
            raise SystemExit(f"the process of {self.name} ended: {said}")
        return json.loads(line)
