"""The paper's experiments, each declared as a grid over configs.

A grid is variants x categories x seeds. A variant is a few settings on top of the base config, so
two experiments that ask for the same settings ask for the same run, and it is trained once.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rdvar_jax.errors import ConfigError
from rdvar_jax.runs.config import Config

LAMBDAS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


@dataclass(frozen=True)
class Variant:
    """One column of a table: what it is called, and the settings that make it."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)


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


RD = Variant("RD", {"loss.lambda_var": 0.0})
RD_L_VAR = Variant("RD + L_var")
PAIR = (RD, RD_L_VAR)

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
        Experiment(
            "fig4",
            "Fig. 4: the weight λ of L_var",
            tuple(Variant(f"λ = {value:g}", {"loss.lambda_var": value}) for value in LAMBDAS),
            "λ = 0",
            needs_lambda=False,
        ),
    )
}


def cells(
    experiment: Experiment, base: Config, categories: Sequence[str], seeds: Sequence[int]
) -> Iterator[Cell]:
    """Returns the grid of an experiment, with runs to be compared next to each other.

    Args:
        experiment: one of EXPERIMENTS.
        base: the config that the variants' settings are put on.
        categories: of `data.root`.
        seeds: values of `train.seed`.

    Raises:
        ConfigError: the base config has no L_var and the experiment is about it.
    """
    if experiment.needs_lambda and base.loss.lambda_var == 0:
        raise ConfigError(
            f"--config.loss.lambda_var=0 leaves nothing to compare in {experiment.name}; give the "
            "weight of L_var, such as 0.1."
        )
    for category, seed, variant in itertools.product(categories, seeds, experiment.variants):
        config = base.copy_and_resolve_references()
        with config.unlocked():
            config.update_from_flattened_dict(variant.settings)
        config.data.category = category
        config.train.seed = seed
        yield Cell(variant.name, category, seed, config)
