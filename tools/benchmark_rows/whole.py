"""Whole commands as a user waits for them: groups of processes, beside others that do the same."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import psutil

from benchmark_rows.kit import make_kit, rdvar_command, train_words, write_kit
from benchmark_rows.measure import Timed, facts_of, in_turn
from benchmark_rows.process import OthersClock, Process, row_command
from benchmark_rows.serve import Settings
from benchmark_rows.start_up import time_process
from benchmark_rows.summary import compare, summarise

WHOLE = ("predict_one", "predict_folder", "predict_folder_bundle", "detector_list", "first_step")
"""The groups that this module measures."""

ONE, NO_PICTURES, PICTURES = "rdvar predict: one image", "no pictures", "pictures"
KNOWN_SCALE = "pictures, colour scale given"
ANOMALIB = "anomalib TorchInferencer"
RUNTIMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
POLL_SECONDS = 0.005


class WholeCommands:
    """A kit of files for one backbone and size, and the groups that are timed with it.

    Args:
        settings: backbone, sizes and precision; `data` is a folder of photographs or None.
        num_photographs: how many are scored at once.
        photograph_size: side of the drawn ones.
        anomalib_python: an interpreter with anomalib, or None.
        runtimes_python: an interpreter with ONNX Runtime or OpenVINO.
    """

    def __init__(
        self,
        settings: Settings,
        num_photographs: int,
        photograph_size: int,
        anomalib_python: str | None,
        runtimes_python: str,
    ):
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        self.kit = make_kit(self.folder, settings, num_photographs, photograph_size)
        file = self.folder / "kit.json"
        write_kit(self.kit, file)
        self.settings = replace(settings, data=str(file))
        self.anomalib_python, self.runtimes_python = anomalib_python, runtimes_python
        self._numbers = count()
        if anomalib_python:
            command = row_command(anomalib_python, "anomalib_list", self._row("export"))
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"anomalib's export failed: {done.stderr[-2000:]}")

    def close(self) -> None:
        """Removes the files."""
        self._folder.cleanup()

    def measure(self, group: str, rounds: int, max_others: float) -> dict[str, Any]:
        """Measures one of `WHOLE`; see `measure.measure` for what it returns.

        "left_out" names the rows that could not be measured, with the reason.
        """
        calls, processes, parts = getattr(self, f"_{group}")()
        left_out = self._left_out(group)
        for call in calls.values():
            call()  # compiles, fills caches
        times = in_turn(calls, rounds)
        for process in processes:
            process.close()
        many = {"predict_one": 1, "first_step": None}.get(group, len(self.kit.photographs))
        rows = {
            name: summarise(times[name], {"images": 1 if name == ONE else many}) for name in calls
        }
        pairs = self._pairs(rows, parts)
        result = compare(rows, pairs, max_others)
        facts = facts_of(processes)
        facts["facts"] |= self._facts(group, rows, parts)
        return {**result, **facts, "left_out": left_out}

    def _pairs(
        self, rows: Mapping[str, dict[str, Any]], parts: tuple[str, ...]
    ) -> list[tuple[str, str]]:
        """Each row over the slower part, and each of this project's over each of the others'."""
        others = [name for name in rows if name in (ANOMALIB, *RUNTIMES.values())]
        ours = [name for name in rows if name not in (*others, *parts)]
        pairs = [(name, other) for name in ours for other in others if name != ONE]
        if parts:
            slower = slower_part(rows, parts)
            pairs = [*((name, slower) for name in (*ours, *others)), *pairs]
        return pairs

    def _facts(
        self, group: str, rows: Mapping[str, dict[str, Any]], parts: tuple[str, ...]
    ) -> dict[str, Any]:
        facts: dict[str, Any] = {"photographs": len(self.kit.photographs)}
        if parts:
            slower = slower_part(rows, parts)
            facts["slower part"] = slower
            if ONE in rows:
                start, others = rows[ONE]["seconds_median"], (ANOMALIB, *RUNTIMES.values())
                facts["without the time of one image, over the slower part"] = {
                    name: (row["seconds_median"] - start) / rows[slower]["seconds_median"]
                    for name, row in rows.items()
                    if name not in (*parts, ONE, *others)
                }
        return facts

    def _left_out(self, group: str) -> dict[str, str]:
        if group in ("first_step", "predict_folder_bundle"):
            return {}
        reasons = {}
        if not self.anomalib_python:
            reasons[ANOMALIB] = "no --anomalib_python"
        for runtime, name in RUNTIMES.items():
            if self.kit.onnx is None:
                reasons[name] = "the package onnx, which writes its model, is not installed"
            elif not self._has_runtime(runtime):
                reasons[name] = "not installed"
        return reasons

    def _has_runtime(self, name: str) -> bool:
        if self.runtimes_python == sys.executable:
            return find_spec(name) is not None
        code = f"import importlib.util as u, sys; sys.exit(u.find_spec({name!r}) is None)"
        return subprocess.run([self.runtimes_python, "-c", code]).returncode == 0

    # The groups: calls by name, the processes that stay, and the names of parts alone.

    def _predict_one(self) -> "Group":
        run, bundle = ("--workdir", self.kit.run), ("--bundle", self.kit.bundle)
        calls = {
            "rdvar predict: run": self._predict(run, one=True),
            "rdvar predict: bundle": self._predict(bundle, one=True),
            "Detector in Python": self._process("detector", "one", sys.executable),
            **self._others_as_processes("one"),
        }
        return calls, [], ()

    def _predict_folder(self) -> "Group":
        return self._folder_group(("--workdir", self.kit.run), self._others_as_processes("list"))

    def _predict_folder_bundle(self) -> "Group":
        return self._folder_group(("--bundle", self.kit.bundle), {})

    def _folder_group(
        self, source: tuple[str, str], others: dict[str, Callable[[], Timed]]
    ) -> "Group":
        parts = self._start("folder_parts", "parts", sys.executable)
        low, high = self.kit.scale
        calls = {
            ONE: self._predict(source, one=True),
            NO_PICTURES: self._predict(source, "--noheat_maps", "--nooverlays"),
            PICTURES: self._predict(source),
            KNOWN_SCALE: self._predict(source, f"--color_scale={low},{high}"),
            **others,
            **timed_calls(parts),
        }
        return calls, [parts], tuple(parts.about)

    def _detector_list(self) -> "Group":
        ours = self._start("detector", "list", sys.executable)
        first, *parts = ours.about
        calls, processes = timed_calls(ours), [ours]
        for runtime, name in RUNTIMES.items():
            if name not in self._left_out("detector_list"):
                processes.append(self._start("runtime", f"{runtime}+list", self.runtimes_python))
        if self.anomalib_python:
            processes.append(self._start("anomalib_list", "list", self.anomalib_python))
        for process in processes[1:]:
            calls |= timed_calls(process)
        assert first not in parts
        return calls, processes, tuple(parts)

    def _first_step(self) -> "Group":
        return {"rdvar train: to its first step": self._train}, [], ()

    def _others_as_processes(self, row: str) -> dict[str, Callable[[], Timed]]:
        calls = {
            name: self._process("runtime", f"{runtime}+{row}", self.runtimes_python)
            for runtime, name in RUNTIMES.items()
            if name not in self._left_out("predict_one")
        }
        if self.anomalib_python:
            calls[ANOMALIB] = self._process("anomalib_list", row, self.anomalib_python)
        return calls

    # Single calls.

    def _row(self, row: str) -> Settings:
        return replace(self.settings, row=row)

    def _start(self, script: str, row: str, python: str) -> Process:
        settings = replace(self._row(row), batch=16)  # `score.batch_size`
        return Process(python, script, settings, self.kit.environment)

    def _process(self, script: str, row: str, python: str) -> Callable[[], Timed]:
        """A row's process, from its start to its end after one call."""
        command = row_command(python, script, self._row(row))
        return lambda: time_process(command, self.kit.environment)

    def _predict(
        self, source: tuple[str, str], *words: str, one: bool = False
    ) -> Callable[[], Timed]:
        """`rdvar predict` of one or all photographs, into a new folder each time."""
        images = self.kit.photographs[0]
        if not one:
            images = str(Path(images).parent)

        def call() -> Timed:
            output = self.folder / f"output{next(self._numbers)}"
            threshold = f"--threshold={self.kit.threshold}"
            command = rdvar_command(
                "predict", *source, "--input", images, "--output", output, threshold, *words
            )
            return time_process(command, self.kit.environment, quiet=True)

        return call

    def _train(self) -> Timed:
        """`rdvar train` from its start to the line that it writes after its first step."""
        workdir = self.folder / f"run{next(self._numbers)}"
        command = rdvar_command(*train_words(self.kit, self.settings, workdir))
        return time_to_line(command, workdir / "metrics.jsonl", self.kit.environment)


Group = tuple[dict[str, Callable[[], Timed]], list[Process], tuple[str, ...]]


def timed_calls(process: Process) -> dict[str, Callable[[], Timed]]:
    return {name: lambda n=name: process.time_once(n) for name in process.about}


def slower_part(rows: Mapping[str, dict[str, Any]], parts: tuple[str, ...]) -> str:
    """The part that alone takes longest, which bounds a pipeline that does all at once."""
    return max(parts, key=lambda name: rows[name]["seconds_median"])


def time_to_line(command: list[str], file: Path, environment: dict[str, str]) -> Timed:
    """Runs a command to its end; the time is until `file` has its first line.

    Raises:
        SystemExit: the command failed; what it said.
    """
    clock, start = OthersClock(), time.perf_counter()
    timed: Timed = {}
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, env=environment, stdout=said, stderr=said) as process,
    ):
        while process.poll() is None and not timed:
            if file.exists() and file.stat().st_size:
                seconds = time.perf_counter() - start
                one = psutil.Process(process.pid)
                cpu = sum(one.cpu_times()[:2])
                timed = {
                    "seconds": seconds,
                    "cpu_seconds": cpu,
                    "peak_gb": one.memory_info().rss / 1e9,
                    "others_cores": clock.cores(cpu),
                }
            time.sleep(POLL_SECONDS)
        if process.wait() or not timed:
            said.seek(0)
            raise SystemExit(f"{' '.join(command[:5])} failed: {said.read()[-2000:]}")
    return timed
