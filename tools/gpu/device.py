"""The device that JAX sees, asked in a process that ends: this one must hold no GPU."""

import json
import subprocess
import sys
from typing import Any

from gpu.plan import Plan

CODE = """
import json, jax
devices = jax.devices()
versions = {"jax": jax.__version__, "jaxlib": __import__("jaxlib").version.__version__}
device = {"platform": devices[0].platform, "kind": devices[0].device_kind, "number": len(devices)}
print(json.dumps({**device, "versions": versions}))
"""


def find_device(plan: Plan) -> dict[str, Any]:
    """{"platform", "kind", "number", "versions"}, of a GPU with "nvidia_smi" too.

    Raises:
        SystemExit: there is no GPU and this is no rehearsal; one sentence.
    """
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, env=plan.environment, capture_output=True, text=True)
    device = json.loads(done.stdout) if done.returncode == 0 else {"platform": "none"}
    if device["platform"] != "gpu" and not plan.rehearse:
        raise SystemExit(
            "benchmark_gpu: JAX finds no GPU here; run it on a machine with one and with "
            "jax[cuda], or go through all branches on the CPU with --rehearse."
        )
    if device["platform"] == "gpu":
        device["nvidia_smi"] = nvidia_smi()
    return device


def nvidia_smi() -> str:
    """Name, memory and driver of the cards; only reads."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True).stdout.strip()
    except OSError:
        return "no nvidia-smi"
