"""The sections `parallel` and `distributed`."""

from rdvar_jax.devices.parallel import MODES
from rdvar_jax.runs.checks.rules import at_least, one_of
from rdvar_jax.runs.config import Config, default_config


def check_one_process(config: Config) -> list[str]:
    """No setting of several processes is given."""
    if config.distributed == default_config().distributed:
        return []
    return ["distributed: only rdvar train uses several processes; leave these settings out here."]


def check_parallel(
    config: Config, num_local_devices: int, batches: tuple[str, ...], num_processes: int = 1
) -> list[str]:
    """The devices are there, and the batches of the sections `batches` split over them."""
    parallel = config.parallel
    problems = one_of("parallel.mode", parallel.mode, MODES)
    problems += at_least("parallel.num_devices", parallel.num_devices, 0)
    if parallel.num_devices > num_local_devices:
        problems.append(
            f"parallel.num_devices={parallel.num_devices} but this process has "
            f"{num_local_devices}; use 0 for all of them (JAX_NUM_CPU_DEVICES makes virtual ones)."
        )
        return problems
    if parallel.num_devices > 0 and num_processes > 1:
        problems.append(
            f"parallel.num_devices={parallel.num_devices} is for one process; with several leave "
            "it 0, and say which devices each of them sees (CUDA_VISIBLE_DEVICES)."
        )
        return problems
    used = parallel.num_devices if parallel.num_devices > 0 else num_local_devices
    for section in batches:
        batch_size = config[section].batch_size
        # Process 0 scores alone.
        several = num_processes > 1 and section == "train"
        share = used * num_processes if several else used
        if batch_size > 0 and batch_size % share:
            problems.append(
                f"{section}.batch_size={batch_size} cannot be split over {share} devices"
                f"{f' of {num_processes} processes' if several else ''}; use "
                f"{max(batch_size // share, 1) * share}"
                f"{'' if num_processes > 1 else ', or set parallel.num_devices'}."
            )
    return problems
