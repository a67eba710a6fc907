"""What each command asks of its config; all that cannot be used is said at once."""

from rdvar_jax.errors import ConfigError
from rdvar_jax.runs.checks.data import check_data
from rdvar_jax.runs.checks.devices import check_one_process, check_parallel
from rdvar_jax.runs.checks.networks import check_compute, check_teacher
from rdvar_jax.runs.checks.scoring import check_scoring
from rdvar_jax.runs.checks.training import check_loss, check_train
from rdvar_jax.runs.config import Config


def check_training(config: Config, num_local_devices: int, num_processes: int = 1) -> None:
    """Raises a ConfigError that names every setting which cannot be used, and how to mend it."""
    _refuse(
        [
            *check_data(config, check_steps=True),
            *check_teacher(config),
            *check_loss(config),
            *check_train(config),
            *check_compute(config),
            *check_scoring(config),
            *check_parallel(config, num_local_devices, ("train", "score"), num_processes),
        ]
    )


def check_evaluation(config: Config, num_local_devices: int) -> None:
    """As `check_training`, for what evaluating a trained run depends on."""
    _refuse(
        [
            *check_data(config, check_steps=False),
            *check_compute(config),
            *check_scoring(config),
            *check_one_process(config),
            *check_parallel(config, num_local_devices, ("score",)),
        ]
    )


def check_prediction(config: Config, num_local_devices: int) -> None:
    """As `check_evaluation`, without the data set: any images can be scored."""
    _refuse(
        [
            *check_compute(config),
            *check_scoring(config),
            *check_one_process(config),
            *check_parallel(config, num_local_devices, ("score",)),
        ]
    )


def check_import(config: Config, num_local_devices: int) -> None:
    """As `check_training`, for a run that was trained elsewhere; it may do without data."""
    _refuse(
        [
            *check_data(config, check_steps=False, is_optional=True),
            *check_teacher(config),
            *check_loss(config),
            *check_compute(config),
            *check_scoring(config),
            *check_one_process(config),
            *check_parallel(config, num_local_devices, ("score",)),
        ]
    )


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ConfigError("\n".join(problems))
