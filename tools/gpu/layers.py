"""Every convolution of the networks and its gradients, beside cuDNN through PyTorch."""

from collections.abc import Iterator
from dataclasses import replace

from layer_table import distinct_layers, markdown_lines, time_layers

from gpu.outcome import Row, attempt
from gpu.plan import Plan
from gpu.timed import FAST

PASSES = ("forward", "input gradient", "kernel gradient")


def layers(plan: Plan) -> Iterator[Row]:
    """A row for each of `PASSES`, with a line for each distinct layer."""
    settings = plan.settings("", plan.batch, FAST)
    found = distinct_layers(settings)
    for name in PASSES:
        yield attempt(f"layers: {name}", lambda name=name: _measure(plan, name, found))


def _measure(plan: Plan, name: str, found: list) -> Row:
    settings = replace(plan.settings("", plan.batch, FAST), passes=(name,))
    settings = replace(settings, min_seconds=min(settings.min_seconds, 0.05))
    timed = time_layers(
        found,
        settings,
        FAST,
        plan.copies,
        min(plan.rounds, 3),
        plan.torch_python,
        max_others=float("inf"),  # the processor only waits
        environment=plan.environment,
    )
    without = {} if plan.torch_python else {"without_torch": "no PyTorch: no ratio"}
    return {**timed, **without, "batch": plan.batch, "precision": FAST}


def table_of(row: Row) -> str:
    """The row's lines in Markdown."""
    return markdown_lines(row["layers"])
