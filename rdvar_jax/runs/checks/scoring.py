"""The sections `score` and `report`."""

import math

from rdvar_jax.runs.checks.rules import at_least
from rdvar_jax.runs.config import Config


def check_scoring(config: Config) -> list[str]:
    """The sections `score` and `report`."""
    sigma = config.score.sigma
    problems = at_least("score.batch_size", config.score.batch_size, 1)
    if not (math.isfinite(sigma) and sigma >= 0):
        problems.append(f"score.sigma={sigma} must be 0 or more; RD4AD uses 4.")
    return problems + at_least("report.max_figures", config.report.max_figures, 0)
