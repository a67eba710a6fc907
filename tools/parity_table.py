"""Measures the differences from PyTorch: a JSON file, and a table for docs/numerics.md.

    make test-torch
    python tools/parity_table.py --output docs/benchmarks/parity_torch_cpu.json

Runs tests/parity/test_live_torch.py, which also checks the differences against their bounds.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from collect_results import git_commit, machine

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "torch")
STEPS = {
    "loss": "loss and L_model",
    "loss_var": "L_var",
    "gradient": "gradients of the first step",
    "statistics": "batch statistics",
}
ROWS = {
    "teacher": "teacher's features",
    "embedding/eval": "embedding",
    "decoder/eval": "decoder's features",
    "embedding/train": "embedding, batch statistics",
    "decoder/train": "decoder's features, batch statistics",
    "map": "anomaly map, real images",
    "score": "score, real images",
    **{
        f"float32/lambda_{value}/{part}": f"λ = {value}: {name}"
        for value in ("0", "0.1")
        for part, name in STEPS.items()
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    document = {
        "commit": git_commit(),
        "machine": machine(),
        "precision": 'float32, JAX\'s matmul precision "highest"; rows float64/ in float64',
        "versions": {name: version(name) for name in PACKAGES},
        "differences": measure(),
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(document, indent=1) + "\n")
    print(table(document["differences"]))


def measure() -> dict[str, Any]:
    """Runs the tests and returns their measurements by backbone and quantity."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "measured.json"
        environment = {**os.environ, "RDVAR_PARITY_JSON": str(path), "RDVAR_FAIL_ON_SKIP": "1"}
        command = [sys.executable, "-m", "pytest", "-q", "-m", "torch", "tests/parity"]
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, stdout=sys.stderr)
        if done.returncode:
            print("parity_table: a test failed; the differences are written", file=sys.stderr)
        return json.loads(path.read_text())


def table(differences: dict[str, Any]) -> str:
    """Formats largest absolute / relative differences as Markdown, one column per backbone."""
    archs = list(differences)
    lines = [["Quantity", *(f"`{arch}`" for arch in archs)], ["---"] * (len(archs) + 1)]
    for quantity, name in ROWS.items():
        cells = [differences[arch][quantity] for arch in archs]
        pairs = [f"{scientific(c['absolute'])} / {scientific(c['relative'])}" for c in cells]
        lines.append([name, *pairs])
    for value in ("0", "0.1"):
        cells = [differences[arch][f"float32/lambda_{value}/clear_update"] for arch in archs]
        for part in ("median", "99 %"):
            title = f"λ = {value}: parameters, {part}, in learning rates"
            lines.append([title, *(scientific(cell[part]) for cell in cells)])
    for part, name in {**STEPS, "clear_update": "parameters, 99 %, in learning rates"}.items():
        cells = [differences[arch][f"torch_with_itself/lambda_0.1/{part}"] for arch in archs]
        title = f"PyTorch from PyTorch, λ = 0.1: {name}"
        lines.append([title, *(scientific(cell["relative"]) for cell in cells)])
    for who, name in {
        "ours": "here",
        "torch contiguous": "PyTorch, contiguous",
        "torch channels_last": "PyTorch, channels last",
    }.items():
        key = f"float32/first_gradient_from_float64/{who}"
        cells = [differences[arch][key] for arch in archs]
        values = [
            f"{scientific(c['least of the batches'])} ({c['batches without a switched ReLU']})"
            for c in cells
        ]
        lines.append([f"First gradient from float64: {name}", *values])
    for value in ("0", "0.1"):
        worst = [
            max(
                row["relative"] for name, row in differences[arch].items() if name.startswith(start)
            )
            for start in [f"float64/lambda_{value}/"]
            for arch in archs
        ]
        title = f"λ = {value}: float64, narrow networks, the worst of all these"
        lines.append([title, *map(scientific, worst)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def scientific(value: float) -> str:
    """Formats `1.2e-07` as `1.2·10⁻⁷`."""
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.1e}".split("e")
    digits = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa}·10{digits}"


if __name__ == "__main__":
    main()
