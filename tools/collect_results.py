"""Collects finished runs into one JSON file of docs/benchmarks, and prints them as a table.

    python tools/collect_results.py --output docs/benchmarks/NAME.json W1 W2 ...

Each W is an evaluated workdir. The commit is that of the current checkout, which must be the one
that made the runs.
"""

import argparse
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from rdvar_jax.devices.instruction_sets import instruction_sets

COLUMNS = ("image_auroc", "pixel_auroc", "aupro", "image_ap", "pixel_ap")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("workdirs", type=Path, nargs="+")
    args = parser.parse_args()
    runs = [read_run(workdir) for workdir in args.workdirs]
    document = {"commit": git_commit(), "machine": machine(), "runs": runs}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(document, indent=1) + "\n")
    print(table(runs))


def read_run(workdir: Path) -> dict[str, Any]:
    """Reads settings, results and losses of one run."""
    config = json.loads((workdir / "config.json").read_text())
    results = json.loads((workdir / "results.json").read_text())
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    return {
        "category": results["category"],
        "arch": config["teacher"]["arch"],
        "stem_width": config["teacher"]["stem_width"],
        "teacher": Path(config["teacher"]["weights"]).name or "catalogue",
        "image_size": config["data"]["image_size"],
        "batch_size": config["train"]["batch_size"],
        "epochs": config["train"]["epochs"],
        "lambda_var": config["loss"]["lambda_var"],
        "precision": config.get("compute", {}).get("precision", "tf32"),
        "seed": results["seed"],
        "metrics": results["metrics"],
        "loss_model_first_epoch": epochs[0]["loss_model"],
        "loss_model_last_epoch": epochs[-1]["loss_model"],
        "loss_var_last_epoch": epochs[-1]["loss_var"],
        "versions": results["versions"],
        "device": results["device"],
    }


def git_commit() -> str:
    """Returns the checkout's commit, marked if files differ from it."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def checkout_commit() -> str | None:
    """Returns the checkout's commit, or None if this is not a checkout."""
    try:
        return git_commit()
    except (OSError, subprocess.CalledProcessError):
        return None


def machine() -> dict[str, Any]:
    """Processor, its instruction sets, in full and as vector units, and number of cores."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = models[0].partition(":")[2].strip() if models else name
    return {
        "processor": name,
        "instruction_sets": instruction_sets(),
        "vector_units": vector_units(instruction_sets()),
        "cores": os.cpu_count(),
        "system": platform.system(),
    }


def vector_units(sets: list[str]) -> list[str]:
    """Those of AVX2, AVX-512, VNNI and AMX that a processor has, for readers of a result."""
    marks = {"AVX2": "avx2", "AVX-512": "avx512f", "VNNI": "vnni", "AMX": "amx_tile"}
    found = [unit for unit, mark in marks.items() if any(mark in name for name in sets)]
    return found or ["none of AVX2, AVX-512, VNNI, AMX"]


def table(runs: list[dict[str, Any]]) -> str:
    """The runs as Markdown, in the order given."""
    header = ["category", "px", "epochs", "λ", *(name.replace("_", " ") for name in COLUMNS)]
    rows = [
        [
            run["category"],
            str(run["image_size"]),
            str(run["epochs"]),
            f"{run['lambda_var']:g}",
            *("-" if (v := run["metrics"][name]) is None else f"{v:.3f}" for name in COLUMNS),
        ]
        for run in runs
    ]
    return "\n".join(
        "| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows]
    )


if __name__ == "__main__":
    main()
