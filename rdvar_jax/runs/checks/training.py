"""The sections `loss` and `train`."""

import math

from rdvar_jax.runs.checks.rules import at_least, one_of
from rdvar_jax.runs.config import BEST_METRICS, OLD_BEST_METRICS, Config, stages
from rdvar_jax.training.loss_settings import DISTANCES, DISTILLATIONS, REDUCTIONS, STAGES


def check_loss(config: Config) -> list[str]:
    """The section `loss`."""
    loss = config.loss
    problems = []
    for name in stages(config):
        problems += one_of("loss.stages", name, STAGES)
    if len(set(stages(config))) < len(stages(config)):
        problems.append(f"loss.stages={stages(config)} names a stage twice; name each once.")
    if not (math.isfinite(loss.lambda_var) and loss.lambda_var >= 0):
        problems.append(
            f"loss.lambda_var={loss.lambda_var} must be 0 or more; 0 is plain reverse distillation."
        )
    problems += one_of("loss.distance", loss.distance, DISTANCES)
    problems += one_of("loss.reduction", loss.reduction, REDUCTIONS)
    problems += one_of("loss.distillation", loss.distillation, DISTILLATIONS)
    return problems


def check_train(config: Config) -> list[str]:
    """The section `train`."""
    train = config.train
    problems = []
    for name in (
        "epochs",
        "batch_size",
        "log_every_steps",
        "checkpoint_every_epochs",
        "steps_per_call",
    ):
        problems += at_least(f"train.{name}", train[name], 1)
    for name in ("evaluate_every_epochs", "seed"):
        problems += at_least(f"train.{name}", train[name], 0)
    if not (math.isfinite(train.learning_rate) and train.learning_rate > 0):
        problems.append(f"train.learning_rate={train.learning_rate} must be over 0; use 0.005.")
    for name in ("beta1", "beta2"):
        if not 0 <= train[name] < 1:
            problems.append(f"train.{name}={train[name]} must be at least 0 and under 1.")
    problems += one_of("train.cache_features", train.cache_features, ("auto", "on", "off"))
    if not (math.isfinite(train.cache_budget_gb) and train.cache_budget_gb >= 0):
        problems.append(f"train.cache_budget_gb={train.cache_budget_gb} must be 0 or more.")
    if train.best_metric in OLD_BEST_METRICS:
        problems.append(
            f"train.best_metric={train.best_metric} chooses a checkpoint by test labels, so it "
            f"now has the name {OLD_BEST_METRICS[train.best_metric]}; use that, and report the "
            "result as an oracle, or use train_loss."
        )
    else:
        problems += one_of("train.best_metric", train.best_metric, tuple(BEST_METRICS))
    if train.best_metric.startswith("oracle_") and train.evaluate_every_epochs == 0:
        problems.append(
            f"train.best_metric={train.best_metric} needs evaluations in training; set "
            "train.evaluate_every_epochs."
        )
    return problems
