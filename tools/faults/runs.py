"""Faults in handing the settings of a run to what they are for, and in what a run goes on with."""

from faults.fault import Fault

RECIPE = "tests/runs/test_recipe.py"
RUN = "tests/runs/test_run.py"

FAULTS = (
    Fault(
        "seed of the settings does not reach the schedule",
        "rdvar_jax/runs/recipe.py",
        "seed=train.seed,",
        "seed=0,",
        (RECIPE,),
    ),
    Fault(
        "betas of the settings swapped",
        "rdvar_jax/runs/recipe.py",
        "train.learning_rate, train.beta1, train.beta2",
        "train.learning_rate, train.beta2, train.beta1",
        (RECIPE,),
    ),
    Fault(
        "blur that is asked for ignored",
        "rdvar_jax/scoring/evaluation.py",
        "make_score_fn(*networks, sigma, precision)",
        "make_score_fn(*networks, SIGMA, precision)",
        ("tests/scoring/test_evaluation.py",),
    ),
    Fault(
        "blur of the settings does not reach the scores",
        "rdvar_jax/runs/run.py",
        "            sigma=self.config.score.sigma,\n",
        "",
        (RUN,),
    ),
)
