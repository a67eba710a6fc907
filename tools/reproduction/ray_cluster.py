"""The Ray executor: the same runs as tasks of a Ray cluster, of one machine or of many.

All machines must see the output folder, the data and this checkout under the same paths.
"""

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import Any

from rdvar_jax.errors import UserError
from reproduction.process import python_path, run_process
from reproduction.run_folder import RunFolder

# Of a run whose machine or worker is lost; a run that fails by itself is not repeated.
MAX_RETRIES = 5


def connect(address: str) -> Any:
    """Joins the cluster at `address`, or starts one of this machine where it is empty.

    Raises:
        UserError: Ray is not installed, or there is no such cluster.
    """
    # Ray reports its use to its makers unless told otherwise.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise UserError(
            "--executor=ray needs Ray; install rdvar-jax[ray], or use --executor=local."
        ) from error
    try:
        ray.init(
            address=address or "local",
            # Workers must find what a task is made of.
            runtime_env={"env_vars": {"PYTHONPATH": python_path()}},
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, ValueError) as error:
        raise UserError(
            f"there is no Ray cluster at --address={address} ({error}); start one with ray start."
        ) from error
    return ray


def num_slots(ray: Any) -> int:
    """Returns the number of concurrent runs: one per GPU, or else one per machine."""
    total = ray.cluster_resources()
    return int(total.get("GPU", 0)) or len([node for node in ray.nodes() if node["Alive"]])


def run_on_ray(
    ray: Any, folders: Sequence[Path], keep_checkpoints: bool, ended: Callable[[Path], None]
) -> None:
    """Runs all folders as tasks; a task whose machine is lost is started again elsewhere.

    Args:
        ray: from `connect`.
        folders: of runs that were asked for.
        keep_checkpoints: whether finished runs keep their states.
        ended: called after each run.
    """
    resources = _resources(ray)
    task = ray.remote(max_retries=MAX_RETRIES, **resources)(_task)
    environment = _own_environment()
    waiting = {
        task.remote(str(folder), keep_checkpoints, environment): folder for folder in folders
    }
    while waiting:
        (done, *_), _ = ray.wait(list(waiting), num_returns=1)
        folder = waiting.pop(done)
        try:
            ray.get(done)
        except ray.exceptions.RayError as error:
            RunFolder(folder).fail(f"Ray gave up on it: {str(error).splitlines()[0]}")
        ended(folder)


def _resources(ray: Any) -> dict[str, Any]:
    """Returns the resources of a task: a GPU, or all cores of the smallest machine."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(node.get("GPU", 0) > 0 for node in nodes):
        return {"num_gpus": 1}
    return {"num_cpus": max(1, min(int(node.get("CPU", 1)) for node in nodes))}


def _own_environment() -> dict[str, str]:
    """Variables that a run may depend on and that a worker does not inherit from its machine."""
    names = ("RDVAR_CACHE", "TORCH_HOME", "XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR")
    return {name: os.environ[name] for name in names if name in os.environ}


def _task(folder: str, keep_checkpoints: bool, environment: dict[str, str]) -> None:
    # A process of its own, as with the local executor: it ends with this worker, whose end of its
    # standard input closes.
    run_process(Path(folder), keep_checkpoints, environment, Event())
