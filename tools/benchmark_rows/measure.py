"""Times the rows of a group in turn and compares them."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmark_rows.groups import USES_NETWORKS, Row
from benchmark_rows.process import Process
from benchmark_rows.serve import Settings
from benchmark_rows.summary import add_arithmetic, compare, summarise

Timed = dict[str, float]
"""Seconds of a call and what it took: see `Process.time_once`."""


def measure(
    rows: Sequence[Row],
    settings: Settings,
    rounds: int,
    pythons: Mapping[str, str | None],
    max_others: float,
    gflop_an_image: dict[str, float],
) -> dict[str, Any]:
    """Times the calls of a group's processes in turn.

    Args:
        rows: the processes; those without an interpreter are left out.
        settings: of each; row and batch are set here.
        rounds: how often each call is timed.
        pythons: interpreter by script; this one for scripts that are not named.
        max_others: as in `compare`.
        gflop_an_image: by kind of call.

    Returns:
        The group from `compare`, with "facts" and "versions" of its processes.
    """
    processes = [
        Process(python, row.script, replace(settings, row=row.row, batch=row.batch))
        for row in rows
        if (python := pythons.get(row.script, sys.executable))
    ]
    peak = None
    if any(row.script in USES_NETWORKS for row in rows):
        peak = Process(sys.executable, "peak", replace(settings, row="product", batch=0))
    peaks = [peak_gflop_per_second(peak)] if peak else []

    def add_peak() -> None:
        if peak:
            peaks.append(peak_gflop_per_second(peak))

    calls = {name: process for process in processes for name in process.about}
    times = in_turn(
        {name: lambda p=process, n=name: p.time_once(n) for name, process in calls.items()},
        rounds,
        after_round=add_peak,
    )
    for process in [*processes, *([peak] if peak else [])]:
        process.close()

    pairs = [pair for process in processes for pair in process.pairs]
    if len(processes) > 1:
        names = list(calls)
        pairs += [(name, names[-1]) for name in names[:-1]]
    summaries = {
        name: summarise(
            times[name], {"ready_seconds": process.ready_seconds, **process.about[name]}
        )
        for name, process in calls.items()
    }
    result = compare(summaries, pairs, max_others)
    if peaks:
        add_arithmetic(result, gflop_an_image, peaks)
    return {**result, **facts_of(processes)}


def in_turn(
    calls: Mapping[str, Callable[[], Timed]],
    rounds: int,
    after_round: Callable[[], None] = lambda: None,
) -> dict[str, list[Timed]]:
    """Times each call once a round, each round in the opposite direction."""
    times: dict[str, list[Timed]] = {name: [] for name in calls}
    for index in range(rounds):
        for name in list(calls) if index % 2 == 0 else list(calls)[::-1]:
            times[name].append(calls[name]())
        after_round()
    return times


def facts_of(processes: Sequence[Process]) -> dict[str, Any]:
    """{"versions", "facts"} of some processes."""
    facts: dict[str, Any] = {}
    versions: dict[str, str] = {}
    for process in processes:
        versions |= process.facts.get("versions", {})
        facts |= {key: value for key, value in process.facts.items() if key != "versions"}
    return {"versions": versions, "facts": facts}


def peak_gflop_per_second(peak: Process) -> float:
    """Measures the speed of a large matrix product."""
    return peak.about["product"]["gflop"] / peak.time_once("product")["seconds"]
