"""The paper's experiments, each declared as a grid over configs.

A grid is variants x categories x seeds. A variant is a few settings on top of the base config, so
two experiments that ask for the same settings ask for the same run, and it is trained once.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from rdvar_jax.errors import ConfigError
from rdvar_jax.runs.config import Config

LAMBDAS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


@dataclass(frozen=True)
class Variant:
    """One column of a table.

    Attributes:
        name: as in the table.
        settings: that make it, on top of the base config.
        program: what trains and scores it; one of `PROGRAMS` in one_run.py.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    program: str = "rdvar"


@dataclass(frozen=True)
class Experiment:
    """One table or figure of the paper.

    Attributes:
        name: as on the command line.
        title: as on the page.
        variants: what is compared.
        reference: the variant that the others' differences are from.
        needs_lambda: whether it shows nothing where the base config has no L_var.
    """

    name: str
    title: str
    variants: tuple[Variant, ...]
    reference: str
    needs_lambda: bool = True


@dataclass(frozen=True)
class Cell:
    """One run that an experiment asks for."""

    variant: str
    category: str
    seed: int
    config: Config
    program: str = "rdvar"


RD = Variant("RD", {"loss.lambda_var": 0.0})
RD_L_VAR = Variant("RD + L_var")
PAIR = (RD, RD_L_VAR)

# Of STFPM's paper, but for epochs, image size and backbone, which are the base config's.
STFPM = {
    "model.name": "stfpm",
    "loss.distillation": "pixel",
    "train.batch_size": 32,
    "train.optimiser": "sgd",
    "train.learning_rate": 0.4,
    "train.beta1": 0.9,
    "train.weight_decay": 1e-4,
    "score.sigma": 0.0,
}


def sweep_of_lambda(lambdas: Sequence[float]) -> Experiment:
    """Returns Fig. 4 with these values, and 0 before them, which the others are compared with."""
    values = sorted({0.0, *lambdas})
    return Experiment(
        "fig4",
        "Fig. 4: the weight λ of L_var",
        tuple(Variant(f"λ = {value:g}", {"loss.lambda_var": value}) for value in values),
        "λ = 0",
        needs_lambda=False,
    )


EXPERIMENTS = {
    experiment.name: experiment
    for experiment in (
        Experiment("table1", "Table I: RD and RD + L_var, by category", PAIR, RD.name),
        Experiment("table2", "Table II: the time that L_var takes in training", PAIR, RD.name),
        Experiment(
            "table3",
            "Table III: the distance in L_var",
            (
                Variant("cosine", {"loss.distance": "cosine"}),
                Variant("L1", {"loss.distance": "l1"}),
                Variant("L2", {"loss.distance": "l2"}),
                Variant("L1, sum", {"loss.distance": "l1", "loss.reduction": "sum"}),
                Variant("L2, sum", {"loss.distance": "l2", "loss.reduction": "sum"}),
            ),
            "cosine",
        ),
        Experiment(
            "table4",
            "Table IV: the batch size",
            tuple(Variant(f"batch {n}", {"train.batch_size": n}) for n in (4, 8, 16, 32)),
            "batch 16",
        ),
        Experiment(
            "table5",
            "Table V: the decoder stages of L_var",
            (
                Variant("D1", {"loss.stages": ("d1",)}),
                Variant("D2", {"loss.stages": ("d2",)}),
                Variant("D3", {"loss.stages": ("d3",)}),
                Variant("D1+D2+D3", {"loss.stages": ("d1", "d2", "d3")}),
            ),
            "D1",
        ),
        Experiment("fig3", "Fig. 3: heat maps of RD and RD + L_var", PAIR, RD.name),
        sweep_of_lambda(LAMBDAS),
        Experiment(
            "torch",
            "PyTorch: the published train step from the same start, on the same batches",
            (
                Variant("here", {"loss.lambda_var": 0.0}),
                Variant("PyTorch", {"loss.lambda_var": 0.0}, program="torch"),
            ),
            "here",
            needs_lambda=False,
        ),
        Experiment(
            "stfpm",
            "STFPM with and without L_var",
            (
                Variant("STFPM", {**STFPM, "loss.lambda_var": 0.0}),
                Variant("STFPM + L_var", STFPM),
            ),
            "STFPM",
        ),
        Experiment(
            "centre",
            "A learnt centre of the embeddings, with and without L_var",
            (
                RD,
                Variant("RD + centre", {"loss.lambda_var": 0.0}, program="centre"),
                Variant("RD + centre + L_var", program="centre"),
            ),
            RD.name,
        ),
    )
}

# Those of the paper: `--experiment all`.
PAPERS = ("table1", "table2", "table3", "table4", "table5", "fig3", "fig4")


def cells(
    experiment: Experiment,
    base: Config,
    categories: Sequence[str],
    seeds: Sequence[int],
    epochs: Mapping[str, int] = MappingProxyType({}),
) -> Iterator[Cell]:
    """Returns the grid of an experiment, seed after seed, so that a stop leaves whole seeds.

    Runs that are to be compared are next to each other.

    Args:
        experiment: one of EXPERIMENTS.
        base: the config that the variants' settings are put on.
        categories: of `data.root`.
        seeds: values of `train.seed`.
        epochs: of categories that have other ones than the base config.

    Raises:
        ConfigError: the base config has no L_var and the experiment is about it.
    """
    if experiment.needs_lambda and base.loss.lambda_var == 0:
        raise ConfigError(
            f"--config.loss.lambda_var=0 leaves nothing to compare in {experiment.name}; give the "
            "weight of L_var, such as 0.1."
        )
    for seed, category, variant in itertools.product(seeds, categories, experiment.variants):
        config = base.copy_and_resolve_references()
        with config.unlocked():
            config.update_from_flattened_dict(variant.settings)
        config.data.category = category
        config.train.seed = seed
        config.train.epochs = epochs.get(category, config.train.epochs)
        yield Cell(variant.name, category, seed, config, variant.program)
